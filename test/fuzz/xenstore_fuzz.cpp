// SPDX-License-Identifier: Apache-2.0
// Any sequence of requests from two guests and a toolstack: no crash, no reply too long, accounts that add
// up, bounded queues, and a next life that finds the same state.
//
// Input: records of { client and flags, operation, transaction selector, payload length (2 bytes) } payload.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "services/xenstore-stubdom/service.hpp"

using namespace bulkhead::xenstore;

namespace {

constexpr std::size_t kArena = 32 * 1024;

void require(bool condition) {
    if (!condition) std::abort();
}

class Machine {
  public:
    Machine(std::vector<char>& first, std::vector<char>& second)
        : a_(first), b_(second), journal_(a_, b_), store_(quota(), &journal_), service_(store_) {}

    void start(Store::Attach how) {
        require(store_.start().outcome != Recovery::Outcome::salvaged);
        for (std::uint16_t i = 0; i < 3; ++i)
            sessions_[i] =
                &store_.attach(SessionKey{i}, DomId{i}, i == 0 ? Rights::toolstack() : Rights::guest(), how);
    }
    void request(unsigned flags, unsigned op, unsigned tx, std::string_view payload) {
        Session& session = *sessions_[flags % 3];
        if (flags & 0x80) drain();
        const Reply reply = service_.handle(session, {Op{op}, transaction(tx), payload, (flags & 0x40) != 0});
        require(reply.payload.size() <= kMaxPayload);
        require(reply.op == Op{op} || reply.op == Op::error);
        if (reply.op == Op::transaction_start)
            last_tx_ = TxId{static_cast<std::uint32_t>(std::stoul(std::string(reply.payload)))};
    }
    void drain() {
        while (Session* session = store_.take_ready()) {
            std::size_t count = 0;
            while (const Session::Event* event = session->next_event()) {
                require(event->path.size() + event->watch->token.size() + 2 <= kMaxPayload);
                session->pop_event();
                require(++count <= quota().queued_events + 100'000);
            }
        }
    }
    std::string finish() {
        std::string text;
        require(store_.check(text));
        store_.dump(text);
        return text;
    }

  private:
    static Quota quota() {
        Quota quota;
        quota.queued_events = 8;  // so that overflow is reached
        quota.nodes = 40;
        return quota;
    }
    TxId transaction(unsigned selector) const {
        if (selector % 4 == 0) return kNoTransaction;
        return selector % 4 == 3 ? TxId{selector * 0x01000001U} : last_tx_;
    }

    MappedArena a_, b_;
    Journal journal_;
    Store store_;
    Service service_;
    Session* sessions_[3] = {};
    TxId last_tx_{};
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    std::vector<char> first(kArena), second(kArena);
    std::string before;
    {
        Machine machine(first, second);
        machine.start(Store::Attach::fresh);
        while (size >= 5) {
            const std::size_t wanted = data[3] | static_cast<std::size_t>(data[4]) << 8;
            const std::size_t length = wanted < size - 5 ? wanted : size - 5;
            machine.request(data[0], data[1], data[2], {reinterpret_cast<const char*>(data) + 5, length});
            data += 5 + length;
            size -= 5 + length;
        }
        machine.drain();
        before = machine.finish();
    }
    Machine next(first, second);
    next.start(Store::Attach::resumed);
    require(next.finish() == before);
    return 0;
}
