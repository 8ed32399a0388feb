// SPDX-License-Identifier: Apache-2.0
// dom0's one event loop: channels that come back by themselves, and waiting for something to become true.
//
// dom0 is one thread. Connecting alone happens on a helper thread, because it is IPC without a deadline: a
// service that never answers (or a hostile VMM) must not stop the prompt. The helper touches nothing but its
// Connection until it says that it is done.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "lib/ring/connection.hpp"
#include "lib/ring/message.hpp"

namespace bulkhead::dom0 {

class Link;

class Loop {
  public:
    explicit Loop(ring::Hub& hub) : hub_{hub} {}

    ring::Hub& hub() { return hub_; }
    cap::Environment& env() { return hub_.env(); }
    std::uint64_t deadline_ms(std::int64_t ms) const {
        return ms < 0 ? abi::kDeadlineNever : hub_.env().clock.deadline_in_ms(static_cast<std::uint64_t>(ms));
    }

    // Waits for anything at most until the deadline, and delivers what came.
    void turn(std::uint64_t deadline);
    // Turns until done() says so: true; or until the deadline: false.
    template <typename Done>
    bool until(std::uint64_t deadline, Done&& done) {
        while (!done()) {
            if (cap::read_tsc() >= deadline) return false;
            turn(deadline);
        }
        return true;
    }

  private:
    friend class Link;
    ring::Hub& hub_;
    std::vector<Link*> links_;
};

class Link {
  public:
    struct Events {
        std::function<void(std::span<const std::uint64_t>)> message;
        std::function<void()> up;  // the channel is new: say hello, replay
        std::function<void()> down;
    };
    // `again`: connect anew whenever the other side went away (services); else once.
    Link(Loop& loop, cap::CapAddr endpoint, Events events, bool again);
    ~Link();
    Link(const Link&) = delete;
    Link& operator=(const Link&) = delete;

    void start();
    bool up() const { return up_; }
    bool failed() const { return failed_; }  // once: it could not connect, or went away
    std::string why() const;                 // it is not up
    ring::Channel& channel() { return connection_.channel(); }

    // Waits for room, at most until the deadline. false: it is not connected, or the message does not fit at
    // all.
    template <typename Root, typename Fill>
    bool send(std::size_t words, std::uint64_t deadline, Fill&& fill) {
        for (;;) {
            if (!up_) return false;
            const ring::Io io = ring::send<Root>(connection_.channel(), words, fill);
            if (io == ring::Io::Ok) return true;
            if (io != ring::Io::Full || cap::read_tsc() >= deadline) return false;
            loop_.turn(deadline);
        }
    }

  private:
    friend class Loop;
    struct Attempt {
        std::atomic<std::uint32_t> status{kRunning};
        std::thread thread;
    };
    static constexpr std::uint32_t kRunning = ~std::uint32_t{0};

    bool poll(bool rung);  // true: something happened
    bool arm() { return !up_ || in_poll_ || connection_.channel().arm(); }
    void finish_attempt();
    void went_down();

    Loop& loop_;
    ring::Connection connection_;
    cap::Cap<cap::Notification> bell_;
    Events events_;
    const bool again_;
    std::unique_ptr<Attempt> attempt_;
    cap::Status last_status_ = cap::Status::NotReady;
    std::uint64_t retry_at_ = abi::kDeadlineNever;
    bool up_ = false, failed_ = false, in_poll_ = false;
};

}  // namespace bulkhead::dom0
