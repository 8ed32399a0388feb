// SPDX-License-Identifier: Apache-2.0
// One connected client: who it is, what it may do, its transactions, its watches, and the events it has yet
// to be sent.
//
// Memory for events is bounded by the queue's limits plus one flag per watch, all charged to the watcher:
//   1. an event equal to the last one that the same watch has pending is dropped (the client will read the
//   newer state);
//   2. when the queue is full, an event is reduced to a flag on its watch; when the queue has drained, one
//   event with the
//      watch's own path stands for all that were reduced. So no watch ever stays silent, only the exact path
//      is lost.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "services/xenstore-stubdom/transaction.hpp"
#include "services/xenstore-stubdom/types.hpp"

namespace bulkhead::xenstore {

class Session;
struct WatchNode;

struct Watch {
    Session* session = nullptr;
    WatchNode* at = nullptr;
    std::string path;  // as the client gave it: relative stays relative
    std::string token;
    std::int32_t depth = -1;  // levels below the path that count; -1: all
    bool relative = false;
    bool collapsed = false;         // an event with the watch's own path is due
    std::uint32_t pending = 0;      // events in the session's queue
    std::uint64_t last_serial = 0;  // of the newest of them
};

class Session {
  public:
    struct Event {
        Watch* watch;
        std::string path;
        std::uint64_t serial;
    };

    Session(SessionKey key, DomId domid);

    SessionKey key() const { return key_; }
    DomId domid() const { return domid_; }
    const std::string& home() const { return home_; }
    Rights rights;
    bool attached = false;  // false: restored from the arenas, its client has not come back yet

    // The oldest event, or null; valid until the next call on the session or its store.
    const Event* next_event();
    void pop_event();
    bool has_events() const { return !queue_.empty() || collapsed_ > 0; }

  private:
    friend class Store;
    void queue_event(Watch& watch, std::string_view path, const Quota& quota);
    void forget_events(Watch& watch);
    void forget_all_events();

    SessionKey key_;
    DomId domid_;
    std::string home_;
    std::vector<std::unique_ptr<Watch>> watches_;
    std::unordered_map<std::uint32_t, std::unique_ptr<Transaction>> transactions_;
    std::deque<Event> queue_;
    std::size_t queued_bytes_ = 0;
    std::size_t collapsed_ = 0;
    std::uint64_t serial_ = 0;
    bool announced_ = false;  // is in the store's list of sessions with events
};

}  // namespace bulkhead::xenstore
