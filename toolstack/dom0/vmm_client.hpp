// SPDX-License-Identifier: Apache-2.0
// dom0's channel to one VMM (schema/vmm.capnp). The VMM serves a guest and may be its guest's by now: it is
// asked with deadlines, and what it says of its guest is shown, not trusted.
#pragma once

#include <array>
#include <map>
#include <optional>

#include "toolstack/dom0/loop.hpp"
#include "toolstack/xl/backend.hpp"

namespace bulkhead::dom0 {

struct VmmState {
    enum class Kind : std::uint8_t { Unknown, Idle, Paused, Running, Shutdown, Crashed } kind = Kind::Unknown;
    enum class Reason : std::uint8_t {
        None,
        Poweroff,
        Reboot,
        Suspend,
        Crash,
        Watchdog
    } reason = Reason::None;
    struct Vcpu {
        bool online = false, blocked = false, running = false;
    };
    std::string message;
    std::vector<Vcpu> vcpus;
    std::uint32_t store_port = 0, console_port = 0;
};

struct VmmConfiguration {
    std::string name, command_line;
    std::uint32_t domain = 0;
    std::array<std::uint8_t, 16> uuid{};
    std::uint64_t memory_kib = 0, max_memory_kib = 0, wall_clock_tsc = 0, wall_clock_ns = 0;
    std::uint32_t vcpus = 1, max_vcpus = 1;
};

class VmmClient {
  public:
    VmmClient(Loop& loop, cap::Cap<cap::Endpoint> endpoint);
    void start() { link_.start(); }

    bool up() const { return link_.up(); }
    bool gone() const { return link_.failed(); }
    std::string why() const { return link_.why(); }
    const VmmState& state() const { return state_; }
    bool take_change() { return std::exchange(changed_, false); }

    xl::Result<void> configure(const VmmConfiguration& configuration, std::int64_t timeout_ms);
    xl::Result<void> build(std::int64_t timeout_ms);  // the guest, paused
    xl::Result<void> unpause(std::int64_t timeout_ms);
    xl::Result<xl::ExitTrace> trace(std::uint32_t vcpu, std::int64_t timeout_ms);
    // Asks for its state, and whether an answer to that has come.
    std::uint32_t ask_state();
    bool answered(std::uint32_t request) const;
    void drop(std::uint32_t request) { answers_.erase(request); }

  private:
    struct Answer {
        bool done = false;
        std::string error;
        std::optional<xl::ExitTrace> trace;
    };
    template <typename Fill>
    xl::Result<Answer> ask_for(std::size_t words, std::int64_t timeout_ms, Fill&& fill);
    template <typename Fill>
    xl::Result<void> ask(std::size_t words, std::int64_t timeout_ms, Fill&& fill);
    void on_message(std::span<const std::uint64_t> words);

    Loop& loop_;
    cap::Cap<cap::Endpoint> endpoint_;
    std::map<std::uint32_t, Answer> answers_;
    std::uint32_t next_request_ = 1;
    VmmState state_;
    bool changed_ = false;
    Link link_;
};

}  // namespace bulkhead::dom0
