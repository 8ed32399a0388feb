// SPDX-License-Identifier: Apache-2.0
// Finding nodes: through the committed tree, or through a transaction's overlay with its dependencies noted.
#include "services/xenstore-stubdom/store.hpp"

namespace bulkhead::xenstore {
namespace {

std::string_view from_component(std::string_view path, std::string_view component) {
    return path.substr(static_cast<std::size_t>(component.data() - path.data()));
}

}  // namespace

Subject Store::subject_of(const Session& session) const {
    Subject subject{session.domid(), session.rights.all_nodes, false, {}};
    const auto it = domains_.find(raw(session.domid()));
    if (it != domains_.end()) {
        subject.has_target = it->second.has_target;
        subject.target = it->second.target;
    }
    return subject;
}

Status Store::find_transaction(Session& session, TxId id, Transaction*& tx) {
    tx = nullptr;
    if (id == kNoTransaction) return Status::ok;
    const auto value = static_cast<std::uint32_t>(id);
    const auto it = session.transactions_.find(value);
    if (it != session.transactions_.end()) {
        tx = it->second.get();
        return Status::ok;
    }
    // Opened with an earlier instance? Then it may go on, and will be told to try again at its end.
    const std::uint32_t life = value >> 24;
    if (life == 0 || life > kLives || life == this_life()) return Status::enoent;
    if (incarnation_ <= kLives && life > this_life()) return Status::enoent;
    Account& account = account_of(session.domid());
    if (!session.rights.unlimited && account.transactions >= quota_.transactions) return Status::enospc;
    ++account.transactions;
    auto made = std::make_unique<Transaction>(id, tree_.root().subtree_generation);
    made->doomed = true;
    tx = made.get();
    session.transactions_.emplace(value, std::move(made));
    return Status::ok;
}

void Store::walk(std::string_view path, Found& found) {
    found.nearest = &tree_of(path).root();
    Components components(path);
    std::string_view name;
    while (components.next(name)) {
        Node* child = found.nearest->children.find(name);
        if (child == nullptr) {
            found.missing = from_component(path, name);
            return;
        }
        found.nearest = child;
    }
    found.node = found.nearest;
    found.exists = true;
}

void Store::walk_overlay(Transaction& tx, std::string_view path, Found& found) {
    Node* node = &tree_.root();
    OverlayNode* over = &tx.root();
    Components components(path);
    std::string_view name;
    while (components.next(name)) {
        Node* child = node != nullptr && !over->hides ? node->children.find(name) : nullptr;
        OverlayNode& child_over = tx.child(*over, name);
        const bool exists = child_over.state == OverlayNode::State::present ||
                            (child_over.state == OverlayNode::State::through && child != nullptr);
        if (!exists) {
            Transaction::depend_content(child_over, child);
            found.missing = from_component(path, name);
            break;
        }
        node = child_over.hides ? nullptr : child;
        over = &child_over;
    }
    found.nearest = node;
    found.nearest_over = over;
    Transaction::depend_content(*over, node);
    if (!found.missing.empty()) return;
    found.node = node;
    found.over = over;
    found.exists = true;
}

Status Store::locate(Session& session, Transaction* tx, std::string_view path, Access need, Found& found) {
    if (tx != nullptr) {
        const std::size_t before = tx->bytes;
        walk_overlay(*tx, path, found);
        const std::size_t more = tx->bytes - before;
        tx->bytes = before;
        if (const Status status = charge_transaction(session, *tx, more); status != Status::ok) return status;
    } else {
        walk(path, found);
    }
    const bool allowed = allows(access_of(subject_of(session), found.perms()), need);
    if (!allowed) return Status::eacces;
    return found.exists ? Status::ok : Status::enoent;
}

// The bytes are in use when this is called, so they are counted also when the answer is no.
Status Store::charge_transaction(Session& session, Transaction& tx, std::size_t more) {
    Account& account = account_of(session.domid());
    account.transaction_bytes += more;
    tx.bytes += more;
    if (session.rights.unlimited) return Status::ok;
    const bool fits =
        account.transaction_bytes <= quota_.transaction_bytes && tx.size() <= quota_.transaction_nodes;
    return fits ? Status::ok : Status::enospc;
}

}  // namespace bulkhead::xenstore
