// SPDX-License-Identifier: Apache-2.0
// The store: what xenstore means, without its wire format. One thread; no call blocks or waits for anybody.
//
// A call that returns ok has been committed to the journal: the next instance has it, watches and domains
// included. Cost: the depth of the path times a binary search among siblings, plus the watches that match.
// Only RELEASE, check() and a checkpoint walk the whole tree.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <unordered_map>

#include "services/xenstore-stubdom/journal.hpp"
#include "services/xenstore-stubdom/session.hpp"
#include "services/xenstore-stubdom/tree.hpp"
#include "services/xenstore-stubdom/watch_tree.hpp"

namespace bulkhead::xenstore {

struct Account {
    std::uint32_t nodes = 0;
    std::uint32_t watches = 0;
    std::uint32_t transactions = 0;
    std::size_t stored_bytes = 0;
    std::size_t transaction_bytes = 0;
    bool idle() const { return nodes + watches + transactions == 0 && stored_bytes + transaction_bytes == 0; }
};

struct Domain {
    bool introduced = false;
    bool stopped = false;
    bool has_target = false;
    DomId target{};
    std::uint64_t gfn = 0;
    std::uint32_t port = 0;
};

class Store final : public Durable {
  public:
    // Without a journal nothing outlives the object (tests, tools).
    explicit Store(const Quota& quota = {}, Journal* journal = nullptr);
    ~Store() override;

    // Reads what the last instance left, or makes an empty store. Call once, first.
    Recovery start();

    // --- clients
    // fresh: a client that starts anew; what it left behind is dropped.
    // resumed: the client lived through our restart; its watches stand, and each fires once, since events may
    // be lost.
    enum class Attach { fresh, resumed };
    Session& attach(SessionKey key, DomId domid, Rights rights, Attach how);
    void detach(Session& session);  // the client is gone: so are its watches and transactions
    Session* find_session(SessionKey key);
    Session* take_ready();  // a session that has events since it was last taken, or null

    // --- nodes
    struct Listing {
        std::uint64_t generation = 0;
        std::vector<std::string_view> names;  // sorted; valid until the next call
    };
    Status read(Session& session, TxId tx, std::string_view path, std::string_view& value);
    Status directory(Session& session, TxId tx, std::string_view path, Listing& listing);
    Status get_perms(Session& session, TxId tx, std::string_view path, Perms& perms);
    Status write(Session& session, TxId tx, std::string_view path, std::string_view value);
    Status mkdir(Session& session, TxId tx, std::string_view path);
    Status remove(Session& session, TxId tx, std::string_view path);
    Status set_perms(Session& session, TxId tx, std::string_view path, const Perms& perms);

    // --- watches
    Status watch(Session& session, std::string_view path, std::string_view token, std::int32_t depth);
    Status unwatch(Session& session, std::string_view path, std::string_view token);
    Status reset_watches(Session& session);

    // --- transactions
    Status begin(Session& session, TxId& tx);
    Status end(Session& session, TxId tx, bool commit);

    // --- domains
    Status introduce(Session& session, DomId domid, std::uint64_t gfn, std::uint32_t port);
    Status release(Session& session, DomId domid);
    Status resume(Session& session, DomId domid);
    Status set_target(Session& session, DomId domid, DomId target);
    bool is_introduced(DomId domid) const;
    // The domain shut down or crashed: @releaseDomain once, until RESUME.
    void domain_stopped(DomId domid);

    // --- inspection
    const Quota& quota() const { return quota_; }
    void for_each_quota(void (*visit)(void* context, const char* name, std::uint32_t value),
                        void* context) const;
    Status set_quota(std::string_view name, std::uint32_t value);
    Account account(DomId domid) const;
    std::size_t live_bytes() const { return live_bytes_; }
    bool check(std::string& finding);  // recounts everything
    void dump(std::string& out);       // all durable state as text, for tests

    // --- Durable
    void save(Sink& sink) override;
    bool restore(RecordReader& reader) override;

  private:
    struct Found;
    struct Plan;
    struct Apply;

    // store_lookup.cpp
    Subject subject_of(const Session& session) const;
    Status find_transaction(Session& session, TxId id, Transaction*& tx);
    Status locate(Session& session, Transaction* tx, std::string_view path, Access need, Found& found);
    void walk(std::string_view path, Found& found);
    void walk_overlay(Transaction& tx, std::string_view path, Found& found);
    Status charge_transaction(Session& session, Transaction& tx, std::size_t more);
    Tree& tree_of(std::string_view path) { return is_special(path) ? specials_ : tree_; }

    // store.cpp: every change of a committed node goes through these, which keep the accounts
    Node& make_node(Tree& tree, Node& parent, std::string_view name, const Perms& perms,
                    std::string_view value);
    void change_node(Node& node, std::string_view value, const Perms& perms);
    void drop_node(Node& node);
    Status put(Session& session, TxId id, std::string_view given, const std::string_view* value);
    Status create_path(Session& session, const Found& found, std::string_view path, std::string_view value);
    Status replace_value(Session& session, Node& node, std::string_view path, std::string_view value);
    Status put_overlay(Session& session, Transaction& tx, Found& found, const std::string_view* value);
    void make_present(Transaction& tx, OverlayNode& at, const Node* node);
    Status admit(const Session& session, DomId owner, std::int64_t nodes, std::int64_t bytes) const;
    Account& account_of(DomId domid) { return accounts_[raw(domid)]; }
    void settle(DomId domid);

    // store_watches.cpp
    void fire(std::string_view path, const Node& node);
    void fire_removed(std::string_view path, Node& node);
    void fire_special(std::string_view name, DomId domid);
    bool may_see(const Watch& watch, const Node& node) const;
    void deliver(Watch& watch, std::string_view canonical);
    void queue(Watch& watch, std::string_view path);
    Watch& place_watch(Session& session, std::string_view canonical, std::string_view given,
                       std::string_view token, std::int32_t depth);
    void lift_watch(Session& session, std::size_t index);
    void drop_all_watches(Session& session);  // the caller logs it
    void lift_all_watches(Session& session);
    WatchTree& watches_of(std::string_view path) { return is_special(path) ? special_watches_ : watches_; }
    Watch* find_watch(Session& session, std::string_view canonical, std::string_view token);

    // store_transactions.cpp
    void close_transaction(Session& session, TxId id);
    void close_all_transactions(Session& session);
    template <typename Effects>
    void each_change(Transaction& tx, Effects& effects);
    Status commit_transaction(Session& session, Transaction& tx);

    // store_domains.cpp
    Domain& domain_entry(DomId domid);
    void release_now(DomId domid);

    // store_durable.cpp
    void log_node(std::string_view path, const Node& node);
    void write_node(RecordWriter& out, std::string_view path, const Node& node);
    void write_watch(RecordWriter& out, const Watch& watch);
    RecordWriter& log(RecordType type);
    void commit();
    bool restore_node(RecordReader& reader);
    bool restore_watch(RecordReader& reader);
    bool restore_domain(RecordReader& reader);
    std::uint64_t next_generation() { return ++generation_; }
    // The instance's number, modulo, is the high byte of the transactions that it hands out.
    static constexpr std::uint32_t kLives = 127;
    std::uint32_t this_life() const { return 1 + (incarnation_ + kLives - 1) % kLives; }

    Quota quota_;
    std::uint32_t quota_changed_ = 0;  // bits: those that CONTROL has set, which outlive us
    Journal* journal_;
    RecordWriter unlogged_;  // stands in for the journal's batch when there is none
    std::uint64_t generation_ = 0;
    std::uint32_t incarnation_ = 0;
    std::uint32_t next_tx_ = 0;
    std::size_t live_bytes_ = 0;

    Tree tree_;
    Tree specials_;
    WatchTree watches_;
    WatchTree special_watches_;
    std::unordered_map<std::uint16_t, Account> accounts_;
    std::map<std::uint16_t, Domain> domains_;
    std::map<std::uint64_t, std::unique_ptr<Session>> sessions_;
    std::deque<Session*> ready_;
    std::string path_;   // canonical form of the request's path
    std::string other_;  // scratch for paths that are put together
};

// Where a path leads, in the committed tree and in a transaction's overlay.
struct Store::Found {
    Node* node = nullptr;         // committed, null if absent or hidden by the transaction
    OverlayNode* over = nullptr;  // null outside a transaction
    bool exists = false;
    Node* nearest = nullptr;  // the closest existing node at or above
    OverlayNode* nearest_over = nullptr;
    std::string_view missing;  // the components below `nearest`

    const Perms& perms() const {
        return nearest_over != nullptr && nearest_over->state == OverlayNode::State::present
                   ? nearest_over->perms
                   : nearest->perms;
    }
};

}  // namespace bulkhead::xenstore
