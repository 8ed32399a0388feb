// SPDX-License-Identifier: Apache-2.0
#include "services/xenstore-stubdom/session.hpp"

#include <algorithm>

namespace bulkhead::xenstore {

Session::Session(SessionKey key, DomId domid)
    : key_(key), domid_(domid), home_("/local/domain/" + std::to_string(raw(domid))) {}

void Session::queue_event(Watch& watch, std::string_view path, const Quota& quota) {
    if (watch.collapsed) return;  // the event to come stands for this one too
    if (watch.pending > 0) {
        // Serials in the queue are consecutive unless a watch went away: look where the last one should be.
        const std::size_t back = static_cast<std::size_t>(serial_ - watch.last_serial);
        if (back < queue_.size()) {
            const Event& last = queue_[queue_.size() - 1 - back];
            if (last.watch == &watch && last.path == path) return;
        }
    }
    if (queue_.size() >= quota.queued_events || queued_bytes_ + path.size() > quota.queued_bytes) {
        watch.collapsed = true;
        ++collapsed_;
        return;
    }
    watch.last_serial = ++serial_;
    ++watch.pending;
    queued_bytes_ += path.size();
    queue_.push_back({&watch, std::string(path), serial_});
}

const Session::Event* Session::next_event() {
    if (queue_.empty() && collapsed_ > 0) {
        const auto it =
            std::find_if(watches_.begin(), watches_.end(), [](const auto& w) { return w->collapsed; });
        Watch& watch = **it;
        watch.collapsed = false;
        --collapsed_;
        watch.last_serial = ++serial_;
        ++watch.pending;
        queued_bytes_ += watch.path.size();
        queue_.push_back({&watch, watch.path, serial_});
    }
    return queue_.empty() ? nullptr : &queue_.front();
}

void Session::pop_event() {
    --queue_.front().watch->pending;
    queued_bytes_ -= queue_.front().path.size();
    queue_.pop_front();
}

void Session::forget_events(Watch& watch) {
    if (watch.collapsed) --collapsed_;
    if (watch.pending == 0) return;
    std::erase_if(queue_, [&](const Event& event) {
        if (event.watch != &watch) return false;
        queued_bytes_ -= event.path.size();
        return true;
    });
}

void Session::forget_all_events() {
    queue_.clear();
    queued_bytes_ = 0;
    collapsed_ = 0;
}

}  // namespace bulkhead::xenstore
