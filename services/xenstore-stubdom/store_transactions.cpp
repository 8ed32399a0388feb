// SPDX-License-Identifier: Apache-2.0
// Transactions: begin, and the end, which decides everything before it changes anything.
#include "services/xenstore-stubdom/store.hpp"

#include <map>

namespace bulkhead::xenstore {

Status Store::begin(Session& session, TxId& id) {
    Account& account = account_of(session.domid());
    if (!session.rights.unlimited && account.transactions >= quota_.transactions) return Status::enospc;
    std::uint32_t value = 0;
    do {
        next_tx_ = (next_tx_ + 1) & 0xffffff;
        value = this_life() << 24 | next_tx_;
    } while (session.transactions_.contains(value));
    id = TxId{value};
    session.transactions_.emplace(value, std::make_unique<Transaction>(id, tree_.root().subtree_generation));
    ++account.transactions;
    return Status::ok;
}

void Store::close_transaction(Session& session, TxId id) {
    const auto it = session.transactions_.find(static_cast<std::uint32_t>(id));
    Account& account = account_of(session.domid());
    --account.transactions;
    account.transaction_bytes -= it->second->bytes;
    session.transactions_.erase(it);
    settle(session.domid());
}

void Store::close_all_transactions(Session& session) {
    while (!session.transactions_.empty())
        close_transaction(session, TxId{session.transactions_.begin()->first});
}

Status Store::end(Session& session, TxId id, bool commit) {
    Transaction* tx = nullptr;
    if (id == kNoTransaction) return Status::enoent;
    if (const Status s = find_transaction(session, id, tx); s != Status::ok) return s;
    Status status = Status::ok;
    if (commit) {
        const bool valid = !tx->doomed && tx->still_valid(tree_);
        status = valid ? commit_transaction(session, *tx) : Status::eagain;
    }
    close_transaction(session, id);
    return status;
}

// Walks the overlay, parents first, and tells `effects` what differs from the committed tree.
template <typename Effects>
void Store::each_change(Transaction& tx, Effects& effects) {
    struct Step {
        OverlayNode* over;
        Node* parent;  // committed, or null when it is only planned
    };
    std::vector<Step> stack;
    const auto descend = [&](OverlayNode& over, Node* node) {
        for (OverlayNode* child : over.children) stack.push_back({child, node});
    };
    OverlayNode& root = tx.root();
    if (root.state == OverlayNode::State::present) effects.update(tree_.root(), root);
    descend(root, &tree_.root());
    while (!stack.empty()) {
        const Step step = stack.back();
        stack.pop_back();
        OverlayNode& over = *step.over;
        Node* node = step.parent != nullptr ? step.parent->children.find(over.name) : nullptr;
        if (node != nullptr && over.hides) {
            effects.remove(*node);
            node = nullptr;
        }
        if (over.state == OverlayNode::State::present) {
            if (node != nullptr)
                effects.update(*node, over);
            else
                node = effects.create(step.parent, over);
        }
        if (over.state != OverlayNode::State::absent) descend(over, node);
    }
}

// Counts what a commit would do to each account, and changes nothing.
struct Store::Plan {
    struct Delta {
        std::int64_t nodes = 0;
        std::int64_t bytes = 0;
    };
    std::map<std::uint16_t, Delta> deltas;
    std::int64_t bytes = 0;

    void count(const Perms& perms, std::size_t path, std::size_t value, int sign) {
        const auto size = sign * static_cast<std::int64_t>(
                                     node_record_size(path == 0 ? 1 : path, value, perms.list().size()));
        Delta& delta = deltas[raw(perms.owner())];
        delta.nodes += sign;
        delta.bytes += size;
        bytes += size;
    }
    void remove(Node& node) {
        Tree::for_each(node, [&](Node& each) { count(each.perms, each.path_length, each.value.size(), -1); });
    }
    void update(Node& node, OverlayNode& over) {
        count(node.perms, node.path_length, node.value.size(), -1);
        count(over.perms, node.path_length, over.value.size(), 1);
    }
    Node* create(Node*, OverlayNode& over) {
        std::size_t length = 0;
        for (const OverlayNode* at = &over; at->parent != nullptr; at = at->parent)
            length += 1 + at->name.size();
        count(over.perms, length, over.value.size(), 1);
        return nullptr;
    }
};

// Makes the changes and writes them down. Cannot fail.
struct Store::Apply {
    Store& store;
    std::string path;

    void remove(Node& node) {
        store.tree_.path_of(node, path);
        store.fire_removed(path, node);
        store.drop_node(node);
        RecordWriter& out = store.log(RecordType::remove);
        out.put_string(path);
        out.end();
    }
    void update(Node& node, OverlayNode& over) {
        store.change_node(node, over.value, over.perms);
        store.tree_.path_of(node, path);
        store.log_node(path, node);
    }
    Node* create(Node* parent, OverlayNode& over) {
        Node& node = store.make_node(store.tree_, *parent, over.name, over.perms, over.value);
        store.tree_.path_of(node, path);
        store.log_node(path, node);
        return &node;
    }
};

Status Store::commit_transaction(Session& session, Transaction& tx) {
    Plan plan;
    each_change(tx, plan);
    const Plan::Delta mine = plan.deltas[raw(session.domid())];
    if (const Status s = admit(session, session.domid(), mine.nodes, mine.bytes); s != Status::ok) return s;
    if (const Status s = admit(session, DomId{0xffff}, 0, plan.bytes); s != Status::ok) return s;
    Apply apply{*this, {}};
    each_change(tx, apply);
    for (OverlayNode* over : tx.touched()) {
        Transaction::path_of(*over, apply.path);
        const Node* node = tree_.find(apply.path);
        if (node != nullptr && over->state == OverlayNode::State::present) fire(apply.path, *node);
    }
    commit();
    return Status::ok;
}

}  // namespace bulkhead::xenstore
