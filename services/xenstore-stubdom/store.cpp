// SPDX-License-Identifier: Apache-2.0
// Sessions, and the operations on nodes.
#include "services/xenstore-stubdom/store.hpp"

#include <algorithm>

namespace bulkhead::xenstore {
namespace {

std::size_t stored_size(const Node& node, std::size_t value, const Perms& perms) {
    const std::size_t path = node.path_length == 0 ? 1 : node.path_length;
    return node_record_size(path, value, perms.list().size());
}
std::size_t stored_size(const Node& node) {
    return stored_size(node, node.value.size(), node.perms);
}

}  // namespace

Store::Store(const Quota& quota, Journal* journal)
    : quota_(quota),
      journal_(journal),
      tree_(Tree::Kind::ordinary, Perms(PermList(1))),
      specials_(Tree::Kind::specials, Perms(PermList(1))) {
    Tree::touch(tree_.root(), next_generation());
    const std::size_t root = stored_size(tree_.root());
    live_bytes_ += root;
    account_of(DomId{0}).stored_bytes += root;
    ++account_of(DomId{0}).nodes;
}

Store::~Store() = default;

// ---------------------------------------------------------------- clients

Session& Store::attach(SessionKey key, DomId domid, Rights rights, Attach how) {
    Session* session = find_session(key);
    if (session != nullptr && (how == Attach::fresh || session->domid() != domid)) {
        detach(*session);
        session = nullptr;
    }
    if (session == nullptr) {
        auto made = std::make_unique<Session>(key, domid);
        session = made.get();
        sessions_[static_cast<std::uint64_t>(key)] = std::move(made);
    }
    session->rights = rights;
    session->attached = true;
    session->forget_all_events();
    for (const auto& watch : session->watches_) {
        watch->pending = 0;
        watch->collapsed = false;
        queue(*watch, watch->path);
    }
    return *session;
}

void Store::detach(Session& session) {
    close_all_transactions(session);
    if (!session.watches_.empty()) {
        lift_all_watches(session);
        commit();
    }
    std::erase(ready_, &session);
    sessions_.erase(static_cast<std::uint64_t>(session.key()));
}

Session* Store::find_session(SessionKey key) {
    const auto it = sessions_.find(static_cast<std::uint64_t>(key));
    return it == sessions_.end() ? nullptr : it->second.get();
}

Session* Store::take_ready() {
    if (ready_.empty()) return nullptr;
    Session* session = ready_.front();
    ready_.pop_front();
    session->announced_ = false;
    return session;
}

// ---------------------------------------------------------------- accounts

Status Store::admit(const Session& session, DomId owner, std::int64_t nodes, std::int64_t bytes) const {
    if (journal_ != nullptr && bytes > 0) {
        // Guests leave an eighth to those who manage the machine.
        const std::size_t limit = journal_->live_limit();
        const std::size_t mine = session.rights.unlimited ? limit : limit - limit / 8;
        if (live_bytes_ + static_cast<std::size_t>(bytes) > mine) return Status::enospc;
    }
    if (session.rights.unlimited || owner != session.domid()) return Status::ok;
    const Account now = account(owner);
    if (nodes > 0 && now.nodes + nodes > quota_.nodes) return Status::enospc;
    if (bytes > 0 && now.stored_bytes + static_cast<std::size_t>(bytes) > quota_.stored_bytes)
        return Status::enospc;
    return Status::ok;
}

Account Store::account(DomId domid) const {
    const auto it = accounts_.find(raw(domid));
    return it == accounts_.end() ? Account{} : it->second;
}

void Store::settle(DomId domid) {
    const auto it = accounts_.find(raw(domid));
    if (it != accounts_.end() && it->second.idle()) accounts_.erase(it);
}

Node& Store::make_node(Tree& tree, Node& parent, std::string_view name, const Perms& perms,
                       std::string_view value) {
    Node& node = tree.create(parent, name, perms, next_generation());
    node.value.assign(value);
    const std::size_t size = stored_size(node);
    Account& account = account_of(perms.owner());
    ++account.nodes;
    account.stored_bytes += size;
    live_bytes_ += size;
    return node;
}

void Store::change_node(Node& node, std::string_view value, const Perms& perms) {
    const std::size_t before = stored_size(node);
    const DomId old_owner = node.perms.owner();
    const std::size_t after = stored_size(node, value.size(), perms);
    Account& from = account_of(old_owner);
    --from.nodes;
    from.stored_bytes -= before;
    Account& to = account_of(perms.owner());
    ++to.nodes;
    to.stored_bytes += after;
    live_bytes_ += after - before;
    node.perms = perms;
    if (value.data() != node.value.data()) node.value.assign(value);
    Tree::touch(node, next_generation());
    if (old_owner != node.perms.owner()) settle(old_owner);
}

void Store::drop_node(Node& node) {
    Tree::for_each(node, [&](Node& each) {
        const DomId owner = each.perms.owner();
        const std::size_t size = stored_size(each);
        Account& account = account_of(owner);
        --account.nodes;
        account.stored_bytes -= size;
        live_bytes_ -= size;
        settle(owner);
    });
    tree_.remove(node, next_generation());
}

// ---------------------------------------------------------------- reading

Status Store::read(Session& session, TxId id, std::string_view given, std::string_view& value) {
    Transaction* tx = nullptr;
    Found found;
    if (const Status s = canonicalize(given, session.home(), SpecialPaths::refused, path_); s != Status::ok)
        return s;
    if (const Status s = find_transaction(session, id, tx); s != Status::ok) return s;
    if (const Status s = locate(session, tx, path_, Access::read, found); s != Status::ok) return s;
    const bool overlaid = found.over != nullptr && found.over->state == OverlayNode::State::present;
    value = overlaid ? found.over->value : found.node->value;
    return Status::ok;
}

Status Store::directory(Session& session, TxId id, std::string_view given, Listing& listing) {
    Transaction* tx = nullptr;
    Found found;
    if (const Status s = canonicalize(given, session.home(), SpecialPaths::refused, path_); s != Status::ok)
        return s;
    if (const Status s = find_transaction(session, id, tx); s != Status::ok) return s;
    if (const Status s = locate(session, tx, path_, Access::read, found); s != Status::ok) return s;
    listing.names.clear();
    if (found.node != nullptr) {
        listing.generation = std::max(found.node->generation, found.node->children_generation);
        listing.names.reserve(found.node->children.size());
        for (const Node* child : found.node->children) listing.names.emplace_back(child->name);
    }
    if (found.over == nullptr) return Status::ok;
    Transaction::depend_children(*found.over, found.node);
    if (found.over->generation != 0) listing.generation = found.over->generation;
    bool grown = false;
    for (const OverlayNode* child : found.over->children) {
        const std::string_view name = child->name;
        const bool committed = found.node != nullptr && found.node->children.find(name) != nullptr;
        if (child->state == OverlayNode::State::absent && committed) std::erase(listing.names, name);
        if (child->state == OverlayNode::State::present && !committed) {
            listing.names.push_back(name);
            grown = true;
        }
    }
    if (grown) std::sort(listing.names.begin(), listing.names.end());
    return Status::ok;
}

Status Store::get_perms(Session& session, TxId id, std::string_view given, Perms& perms) {
    Transaction* tx = nullptr;
    Found found;
    if (const Status s = canonicalize(given, session.home(), SpecialPaths::allowed, path_); s != Status::ok)
        return s;
    if (const Status s = find_transaction(session, id, tx); s != Status::ok) return s;
    if (is_special(path_)) tx = nullptr;
    if (const Status s = locate(session, tx, path_, Access::read, found); s != Status::ok) return s;
    perms = found.perms();
    return Status::ok;
}

// ---------------------------------------------------------------- writing

Status Store::write(Session& session, TxId id, std::string_view path, std::string_view value) {
    return put(session, id, path, &value);
}

Status Store::mkdir(Session& session, TxId id, std::string_view path) {
    return put(session, id, path, nullptr);
}

Status Store::put(Session& session, TxId id, std::string_view given, const std::string_view* value) {
    Transaction* tx = nullptr;
    Found found;
    if (const Status s = canonicalize(given, session.home(), SpecialPaths::refused, path_); s != Status::ok)
        return s;
    if (const Status s = find_transaction(session, id, tx); s != Status::ok) return s;
    const Status status = locate(session, tx, path_, Access::write, found);
    if (status != Status::ok && status != Status::enoent) return status;
    if (found.exists && value == nullptr) return Status::ok;
    if (value != nullptr && value->size() > quota_.value_bytes && !session.rights.unlimited)
        return Status::enospc;
    if (tx != nullptr) return put_overlay(session, *tx, found, value);
    const std::string_view content = value != nullptr ? *value : std::string_view();
    return found.exists ? replace_value(session, *found.node, path_, content)
                        : create_path(session, found, path_, content);
}

Status Store::replace_value(Session& session, Node& node, std::string_view path, std::string_view value) {
    const auto growth = static_cast<std::int64_t>(stored_size(node, value.size(), node.perms)) -
                        static_cast<std::int64_t>(stored_size(node));
    if (const Status s = admit(session, node.perms.owner(), 0, growth); s != Status::ok) return s;
    change_node(node, value, node.perms);
    RecordWriter& out = log(RecordType::value);
    out.put_string(path);
    out.put_string(value);
    out.end();
    fire(path, node);
    commit();
    return Status::ok;
}

// Missing parents are created empty. A guest owns what it creates; otherwise permissions are the parent's.
Status Store::create_path(Session& session, const Found& found, std::string_view path,
                          std::string_view value) {
    const Perms perms = session.rights.all_nodes ? found.perms() : found.perms().owned_by(session.domid());
    std::int64_t nodes = 0, bytes = 0;
    std::size_t length = path.size() - found.missing.size();
    std::string_view name;
    for (Components names(found.missing); names.next(name); ++nodes) {
        length += name.size() + (nodes == 0 ? 0 : 1);
        bytes += static_cast<std::int64_t>(
            node_record_size(length, names.empty() ? value.size() : 0, perms.list().size()));
    }
    if (const Status s = admit(session, perms.owner(), nodes, bytes); s != Status::ok) return s;
    Node* node = found.nearest;
    for (Components names(found.missing); names.next(name);) {
        node = &make_node(tree_, *node, name, perms, names.empty() ? value : std::string_view());
        log_node(path.substr(0, node->path_length), *node);
    }
    fire(path, *node);
    commit();
    return Status::ok;
}

void Store::make_present(Transaction& tx, OverlayNode& at, const Node* node) {
    if (at.state == OverlayNode::State::through && node != nullptr) {
        at.value = node->value;
        at.perms = node->perms;
        tx.bytes += at.value.size();
    }
    at.state = OverlayNode::State::present;
    at.generation = next_generation();
}

Status Store::put_overlay(Session& session, Transaction& tx, Found& found, const std::string_view* value) {
    const std::size_t before = tx.bytes;
    OverlayNode* at = found.nearest_over;
    if (!found.exists) {
        const Perms perms =
            session.rights.all_nodes ? found.perms() : found.perms().owned_by(session.domid());
        std::string_view name;
        std::size_t missing = 0;
        for (Components names(found.missing); names.next(name);) ++missing;
        if (perms.owner() == session.domid()) {
            const auto planned = static_cast<std::int64_t>(tx.created + missing);
            if (const Status s = admit(session, perms.owner(), planned, 0); s != Status::ok) return s;
        }
        tx.created += missing;
        at->generation = next_generation();
        for (Components names(found.missing); names.next(name);) {
            at = &tx.child(*at, name);
            make_present(tx, *at, nullptr);
            at->perms = perms;
            at->value.clear();
        }
    } else {
        make_present(tx, *at, found.node);
    }
    if (value != nullptr) {
        at->value.assign(*value);
        tx.bytes += value->size();
    }
    tx.touch(*at);
    const std::size_t more = tx.bytes - before;
    tx.bytes = before;
    return charge_transaction(session, tx, more);
}

Status Store::remove(Session& session, TxId id, std::string_view given) {
    Transaction* tx = nullptr;
    Found found;
    if (const Status s = canonicalize(given, session.home(), SpecialPaths::refused, path_); s != Status::ok)
        return s;
    if (const Status s = find_transaction(session, id, tx); s != Status::ok) return s;
    const Status status = locate(session, tx, path_, Access::write, found);
    // Already gone is fine, if only its parent is there.
    if (status == Status::enoent && found.missing.find('/') == std::string_view::npos) return Status::ok;
    if (status != Status::ok) return status;
    if (path_ == "/") return Status::einval;
    if (tx != nullptr) {
        OverlayNode& at = *found.over;
        Transaction::depend_subtree(at, found.node);
        at.state = OverlayNode::State::absent;
        at.hides = true;
        at.children.clear();
        at.parent->generation = next_generation();
        tx->touch(at);
        return Status::ok;
    }
    fire_removed(path_, *found.node);
    drop_node(*found.node);
    RecordWriter& out = log(RecordType::remove);
    out.put_string(path_);
    out.end();
    commit();
    return Status::ok;
}

Status Store::set_perms(Session& session, TxId id, std::string_view given, const Perms& perms) {
    Transaction* tx = nullptr;
    Found found;
    if (const Status s = canonicalize(given, session.home(), SpecialPaths::allowed, path_); s != Status::ok)
        return s;
    if (const Status s = find_transaction(session, id, tx); s != Status::ok) return s;
    const bool special = is_special(path_);
    if (special && !session.rights.manage_domains) return Status::eacces;
    if (special) tx = nullptr;
    if (const Status s = locate(session, tx, path_, Access::owner, found); s != Status::ok) return s;
    if (!session.rights.all_nodes && perms.owner() != found.perms().owner()) return Status::eperm;
    if (!session.rights.unlimited && perms.list().size() > quota_.permissions) return Status::enospc;
    if (tx != nullptr) {
        const std::size_t before = tx->bytes;
        make_present(*tx, *found.over, found.node);
        found.over->perms = perms;
        tx->touch(*found.over);
        const std::size_t more = tx->bytes - before + perms.list().size() * sizeof(PermEntry);
        tx->bytes = before;
        return charge_transaction(session, *tx, more);
    }
    Node& node = *found.node;
    const auto growth = static_cast<std::int64_t>(stored_size(node, node.value.size(), perms)) -
                        static_cast<std::int64_t>(stored_size(node));
    if (const Status s = admit(session, perms.owner(), 0, growth); s != Status::ok) return s;
    change_node(node, node.value, perms);
    RecordWriter& out = log(RecordType::perms);
    out.put_string(path_);
    out.put_perms(perms);
    out.end();
    if (!special) fire(path_, node);
    commit();
    return Status::ok;
}

}  // namespace bulkhead::xenstore
