// SPDX-License-Identifier: Apache-2.0
#include "toolstack/dom0/loop.hpp"

#include <algorithm>
#include <bit>

namespace bulkhead::dom0 {
namespace {

constexpr std::uint64_t kRetryMs = 100;
constexpr unsigned kMessagesPerTurn = 32;

}  // namespace

void Loop::turn(std::uint64_t deadline) {
    // Handlers may make and drop links: the list is read afresh.
    bool busy = false;
    for (std::size_t i = 0; i < links_.size(); i++) busy |= links_[i]->poll(false);
    for (Link* link : links_) busy |= !link->arm();
    std::uint64_t until = busy ? abi::kDeadlinePoll : deadline;
    for (const Link* link : links_) until = std::min(until, link->retry_at_);
    const auto bits = hub_.wait(until);
    if (!bits) return;
    for (std::size_t i = 0; i < links_.size(); i++)
        if (*bits & links_[i]->connection_.bits()) links_[i]->poll(true);
}

Link::Link(Loop& loop, cap::CapAddr endpoint, Events events, bool again)
    : loop_{loop}, connection_{loop.hub(), endpoint}, events_{std::move(events)}, again_{again} {
    loop_.links_.push_back(this);
}

// Whoever drops a link of a domain has destroyed that domain, so that the helper's call has ended.
Link::~Link() {
    std::erase(loop_.links_, this);
    if (attempt_) attempt_->thread.join();
}

void Link::start() {
    if (attempt_ || up_) return;
    retry_at_ = abi::kDeadlineNever;
    if (!bell_) {
        auto bell = loop_.hub().mint(static_cast<unsigned>(std::countr_zero(connection_.doorbell_bit())));
        if (!bell) {
            last_status_ = bell.error();
            failed_ = true;
            return;
        }
        bell_ = std::move(*bell);
    }
    attempt_ = std::make_unique<Attempt>();
    attempt_->thread =
        std::thread([attempt = attempt_.get(), connection = &connection_, bell = bell_.address()] {
            const cap::Status status = connection->connect();
            attempt->status.store(static_cast<std::uint32_t>(status), std::memory_order_release);
            cap::drop(cap::sys::signal(bell));
        });
}

void Link::finish_attempt() {
    last_status_ = static_cast<cap::Status>(attempt_->status.load(std::memory_order_acquire));
    attempt_->thread.join();
    attempt_.reset();
    if (last_status_ != cap::Status::Ok) {
        if (again_)
            retry_at_ = loop_.deadline_ms(kRetryMs);
        else
            failed_ = true;
        return;
    }
    up_ = true;
    if (events_.up) events_.up();
}

void Link::went_down() {
    up_ = false;
    last_status_ = cap::Status::PeerGone;
    connection_.disconnect();
    if (again_)
        start();
    else
        failed_ = true;
    if (events_.down) events_.down();
}

bool Link::poll(bool rung) {
    if (in_poll_) return false;  // a handler waits for something else
    in_poll_ = true;
    bool happened = false;
    if (attempt_ && attempt_->status.load(std::memory_order_acquire) != kRunning) {
        finish_attempt();
        happened = true;
    } else if (!attempt_ && !up_ && retry_at_ <= cap::read_tsc()) {
        start();
    }
    for (unsigned i = 0; up_ && i < kMessagesPerTurn; i++) {
        std::span<std::uint64_t> words;
        const ring::Io io = connection_.channel().receive(words);
        if (io != ring::Io::Ok) break;
        happened = true;
        events_.message(words);
    }
    if (up_ && (rung ? connection_.lost() : !connection_.channel().open())) {
        went_down();
        happened = true;
    }
    in_poll_ = false;
    return happened;
}

std::string Link::why() const {
    return up_ ? "it is connected" : attempt_ ? "it does not answer" : cap::describe(last_status_);
}

}  // namespace bulkhead::dom0
