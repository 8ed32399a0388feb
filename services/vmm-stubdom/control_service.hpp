// SPDX-License-Identifier: Apache-2.0
// dom0's channel (schema/vmm.capnp): configuration and images come in, state goes out; nothing of the guest's
// memory ever does. Called from the listener on the I/O thread. dom0 may come and go: the guest runs on, and
// a new dom0 connects and asks.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "lib/ring/listener.hpp"
#include "schema/vmm.capnp.h"
#include "services/vmm-stubdom/guest.hpp"

namespace bulkhead::vmm {

class ControlService final : public ring::Service {
  public:
    using Build = std::function<std::expected<std::unique_ptr<Guest>, std::string>(GuestConfig)>;

    ControlService(cap::Environment& env, Build build) : env_{env}, build_{std::move(build)} {}

    Guest* guest() { return guest_.get(); }
    void tell_change();  // the guest ended or was suspended

    bool connected(ring::Client& client) override;
    bool message(ring::Client& client, std::span<const uint64_t> words) override;
    void room(ring::Client& client) override;
    void disconnected(ring::Client& client, ring::CloseReason why) override;

  private:
    using Request = schema::vmm::Request;
    struct Answer {
        enum Kind : uint8_t { Ok, Error, State, Text, Trace } kind = Ok;
        uint32_t request = 0;
        std::string text = {};
        uint64_t next = 0;
        unsigned vcpu = 0;
    };

    void handle(ring::Client& client, Request::Reader request);
    std::expected<void, std::string> configure(schema::vmm::Configuration::Reader c);
    std::expected<void, std::string> take_image(ring::Client& client, Request::Image::Reader image);
    std::expected<void, std::string> start();
    std::expected<void, std::string> need_guest() const;
    std::string registers(unsigned vcpu);
    void answer_trace(uint32_t request, unsigned vcpu);
    void answer(Answer a);
    void answer(uint32_t request, const std::expected<void, std::string>& result);
    bool flush();
    bool send(const Answer& a);
    void fill_state(schema::vmm::GuestState::Builder s);
    void fill_trace(schema::vmm::Answer::Trace::Builder t, unsigned vcpu);

    cap::Environment& env_;
    Build build_;
    ring::Client* client_ = nullptr;
    std::deque<Answer> answers_;
    bool configured_ = false, start_paused_ = false, destroyed_ = false;
    GuestConfig config_;
    std::string name_;
    std::vector<std::byte> kernel_, ramdisk_;  // sent by dom0; empty: the files that the supervisor mapped
    std::unique_ptr<Guest> guest_;
};

}  // namespace bulkhead::vmm
