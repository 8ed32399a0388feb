// SPDX-License-Identifier: Apache-2.0
// A store with clients that speak the wire protocol to it, as their VMMs would.
#pragma once

#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "services/xenstore-stubdom/service.hpp"

namespace bulkhead::xenstore::test {

using namespace std::string_literals;
using namespace std::string_view_literals;

// "a|b|" as the protocol's documentation writes it: each bar is a NUL.
inline std::string wire(std::string text) {
    for (char& c : text)
        if (c == '|') c = '\0';
    return text;
}
inline std::string bars(std::string_view payload) {
    std::string text(payload);
    for (char& c : text)
        if (c == '\0') c = '|';
    return text;
}

class Client {
  public:
    Client(Store& store, Service& service, unsigned domid, Rights rights)
        : service_(service),
          session_(&store.attach(SessionKey{100 + domid}, DomId{static_cast<std::uint16_t>(domid)}, rights,
                                 Store::Attach::fresh)) {}

    // The reply with bars for NULs; an error as its name.
    std::string ask(Op op, const std::string& payload, TxId tx = kNoTransaction) {
        return ask_raw(op, wire(payload), tx);
    }
    std::string ask_raw(Op op, const std::string& payload, TxId tx = kNoTransaction) {
        const Reply reply = service_.handle(*session_, {op, tx, payload, false});
        if (reply.op != Op::error) CHECK(reply.op == op);
        std::string text = bars(reply.payload);
        if (reply.op == Op::error) text.pop_back();
        return text;
    }
    std::string read(const std::string& path, TxId tx = kNoTransaction) {
        return ask(Op::read, path + "|", tx);
    }
    std::string write(const std::string& path, const std::string& value, TxId tx = kNoTransaction) {
        return ask(Op::write, path + "|" + value, tx);
    }
    std::string rm(const std::string& path, TxId tx = kNoTransaction) { return ask(Op::rm, path + "|", tx); }
    std::string ls(const std::string& path, TxId tx = kNoTransaction) {
        return ask(Op::directory, path + "|", tx);
    }
    TxId begin() { return TxId{static_cast<std::uint32_t>(std::stoul(ask(Op::transaction_start, "|")))}; }
    std::string end(TxId tx, const char* how = "T|") { return ask(Op::transaction_end, how, tx); }

    // All events that wait, "path|token|" each.
    std::vector<std::string> events() {
        std::vector<std::string> all;
        while (const Session::Event* event = session_->next_event()) {
            all.push_back(event->path + "|" + event->watch->token + "|");
            session_->pop_event();
        }
        return all;
    }
    Session& session() { return *session_; }
    void use(Session& session) { session_ = &session; }

  private:
    Service& service_;
    Session* session_;
};

using Events = std::vector<std::string>;

// dom0 and two guests with their homes made.
struct World {
    explicit World(const Quota& quota = {}) : store(quota) {
        CHECK(store.start().outcome == Recovery::Outcome::fresh);
    }
    ~World() {
        std::string finding;
        CHECK(store.check(finding));
        CHECK(finding == "OK");
    }
    void make_home(unsigned domid) {
        const std::string id = std::to_string(domid);
        CHECK(dom0.ask(Op::introduce, id + "|1234|5|") == "OK|");
        CHECK(dom0.ask(Op::mkdir, "/local/domain/" + id + "|") == "OK|");
        CHECK(dom0.ask(Op::set_perms, "/local/domain/" + id + "|n" + id + "|") == "OK|");
    }
    Store store;
    Service service{store};
    Client dom0{store, service, 0, Rights::toolstack()};
    Client one{store, service, 1, Rights::guest()};
    Client two{store, service, 2, Rights::guest()};
    void homes() {
        make_home(1);
        make_home(2);
    }
};

}  // namespace bulkhead::xenstore::test
