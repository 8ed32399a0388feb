// SPDX-License-Identifier: Apache-2.0
// The store as records: what is logged, the whole of it for a checkpoint, and back.
#include "services/xenstore-stubdom/store.hpp"

#include <algorithm>
#include <array>

namespace bulkhead::xenstore {
namespace {

struct QuotaName {
    const char* name;
    std::uint32_t Quota::*field;
};
// The index is stored: append only.
constexpr std::array<QuotaName, 11> kQuotas = {{{"nodes", &Quota::nodes},
                                                {"watches", &Quota::watches},
                                                {"node-size", &Quota::value_bytes},
                                                {"transactions", &Quota::transactions},
                                                {"transaction-nodes", &Quota::transaction_nodes},
                                                {"permissions", &Quota::permissions},
                                                {"outstanding", &Quota::outstanding},
                                                {"stored-bytes", &Quota::stored_bytes},
                                                {"transaction-bytes", &Quota::transaction_bytes},
                                                {"queued-events", &Quota::queued_events},
                                                {"queued-bytes", &Quota::queued_bytes}}};

}  // namespace

Recovery Store::start() {
    Recovery recovery;
    if (journal_ != nullptr) recovery = journal_->recover(*this);
    ++incarnation_;
    generation_ = std::max(generation_, std::uint64_t{incarnation_} << 40);
    RecordWriter& out = log(RecordType::incarnation);
    out.put(incarnation_);
    out.end();
    const auto ensure = [&](Tree& tree, Node& parent, std::string_view name) -> Node& {
        if (Node* found = parent.children.find(name)) return *found;
        Node& made = make_node(tree, parent, name, parent.perms, {});
        tree.path_of(made, other_);
        log_node(other_, made);
        return made;
    };
    ensure(tree_, ensure(tree_, tree_.root(), "tool"), "xenstored");
    ensure(specials_, specials_.root(), "@introduceDomain");
    ensure(specials_, specials_.root(), "@releaseDomain");
    commit();
    return recovery;
}

RecordWriter& Store::log(RecordType type) {
    RecordWriter& out = journal_ != nullptr ? journal_->batch() : unlogged_;
    out.begin(type);
    return out;
}

void Store::commit() {
    if (journal_ != nullptr)
        journal_->commit(*this);
    else
        unlogged_.clear();
}

void Store::write_node(RecordWriter& out, std::string_view path, const Node& node) {
    out.put_string(path);
    out.put_perms(node.perms);
    out.put_string(node.value);
    out.end();
}

void Store::log_node(std::string_view path, const Node& node) {
    write_node(log(RecordType::node), path, node);
}

void Store::write_watch(RecordWriter& out, const Watch& watch) {
    out.put(static_cast<std::uint64_t>(watch.session->key()));
    out.put(raw(watch.session->domid()));
    out.put(watch.depth);
    out.put_string(watch.path);
    out.put_string(watch.token);
    out.end();
}

void Store::save(Sink& sink) {
    RecordWriter out;
    const auto flush = [&] {
        sink.add(out);
        out.clear();
    };
    out.begin(RecordType::incarnation);
    out.put(incarnation_);
    out.end();
    for (std::uint32_t i = 0; i < kQuotas.size(); ++i) {
        if ((quota_changed_ >> i & 1) == 0) continue;
        out.begin(RecordType::quota);
        out.put(i);
        out.put(quota_.*kQuotas[i].field);
        out.end();
    }
    std::string path;
    for (Tree* tree : {&tree_, &specials_}) {
        Tree::for_each(tree->root(), [&](Node& node) {
            if (&node == &specials_.root()) return;
            tree->path_of(node, path);
            out.begin(RecordType::node);
            write_node(out, path, node);
            if (out.bytes().size() > 4096) flush();
        });
    }
    for (const auto& [id, domain] : domains_) {
        out.begin(RecordType::introduce);
        out.put(id);
        out.put(domain.gfn);
        out.put(domain.port);
        out.end();
        if (domain.stopped) {
            out.begin(RecordType::shutdown);
            out.put(id);
            out.put(std::uint8_t{1});
            out.end();
        }
    }
    for (const auto& [id, domain] : domains_) {
        if (!domain.has_target) continue;
        out.begin(RecordType::target);
        out.put(id);
        out.put(raw(domain.target));
        out.end();
    }
    for (const auto& [key, session] : sessions_) {
        for (const auto& watch : session->watches_) {
            out.begin(RecordType::watch);
            write_watch(out, *watch);
            if (out.bytes().size() > 4096) flush();
        }
    }
    flush();
}

bool Store::restore_node(RecordReader& reader) {
    std::string_view path, value;
    Perms perms;
    if (!reader.get_string(path)) return false;
    Tree& tree = tree_of(path);
    if (reader.type() == RecordType::node) {
        if (!reader.get_perms(perms) || !reader.get_string(value)) return false;
        if (Node* node = tree.find(path)) {
            change_node(*node, value, perms);
            return true;
        }
        const std::size_t slash = path.rfind('/');
        Node* parent = slash == std::string_view::npos ? &tree.root() : tree.find(path.substr(0, slash));
        if (parent == nullptr) return false;
        make_node(tree, *parent, path.substr(slash + 1), perms, value);
        return true;
    }
    Node* node = tree.find(path);
    if (node == nullptr) return false;
    switch (reader.type()) {
        case RecordType::value:
            if (!reader.get_string(value)) return false;
            change_node(*node, value, node->perms);
            return true;
        case RecordType::perms:
            if (!reader.get_perms(perms)) return false;
            change_node(*node, node->value, perms);
            return true;
        default:
            if (node->parent == nullptr || is_special(path)) return false;
            drop_node(*node);
            return true;
    }
}

bool Store::restore_watch(RecordReader& reader) {
    std::uint64_t key = 0;
    std::string_view path, token;
    if (!reader.get(key)) return false;
    Session* session = find_session(SessionKey{key});
    if (reader.type() == RecordType::reset_watches) {
        if (session != nullptr) drop_all_watches(*session);
        return true;
    }
    if (reader.type() == RecordType::watch) {
        DomId domid{};
        std::int32_t depth = -1;
        if (!reader.get_domid(domid) || !reader.get(depth)) return false;
        if (!reader.get_string(path) || !reader.get_string(token) || path.empty()) return false;
        if (session == nullptr || session->domid() != domid)
            session = (sessions_[key] = std::make_unique<Session>(SessionKey{key}, domid)).get();
        if (canonicalize(path, session->home(), SpecialPaths::allowed, path_) != Status::ok) return false;
        place_watch(*session, path_, path, token, depth);
        return true;
    }
    if (session == nullptr || !reader.get_string(path) || !reader.get_string(token)) return false;
    for (std::size_t i = 0; i < session->watches_.size(); ++i) {
        if (session->watches_[i]->path != path || session->watches_[i]->token != token) continue;
        lift_watch(*session, i);
        return true;
    }
    return false;
}

bool Store::restore_domain(RecordReader& reader) {
    DomId domid{};
    if (!reader.get_domid(domid)) return false;
    if (reader.type() == RecordType::release) {
        release_now(domid);
        return true;
    }
    if (reader.type() == RecordType::introduce) {
        Domain& domain = domain_entry(domid);
        domain.introduced = true;
        domain.stopped = false;
        return reader.get(domain.gfn) && reader.get(domain.port);
    }
    if (!is_introduced(domid)) return false;
    Domain& domain = domain_entry(domid);
    if (reader.type() == RecordType::target) {
        domain.has_target = true;
        return reader.get_domid(domain.target);
    }
    std::uint8_t stopped = 0;
    if (!reader.get(stopped)) return false;
    domain.stopped = stopped != 0;
    return true;
}

bool Store::restore(RecordReader& reader) {
    switch (reader.type()) {
        case RecordType::node:
        case RecordType::value:
        case RecordType::perms:
        case RecordType::remove: return restore_node(reader);
        case RecordType::watch:
        case RecordType::unwatch:
        case RecordType::reset_watches: return restore_watch(reader);
        case RecordType::introduce:
        case RecordType::release:
        case RecordType::target:
        case RecordType::shutdown: return restore_domain(reader);
        case RecordType::quota: {
            std::uint32_t index = 0;
            if (!reader.get(index) || index >= kQuotas.size()) return false;
            quota_changed_ |= 1U << index;
            return reader.get(quota_.*kQuotas[index].field);
        }
        case RecordType::incarnation: return reader.get(incarnation_);
    }
    return false;
}

void Store::for_each_quota(void (*visit)(void*, const char*, std::uint32_t), void* context) const {
    for (const QuotaName& each : kQuotas) visit(context, each.name, quota_.*each.field);
}

Status Store::set_quota(std::string_view name, std::uint32_t value) {
    for (std::uint32_t i = 0; i < kQuotas.size(); ++i) {
        if (kQuotas[i].name != name) continue;
        quota_.*kQuotas[i].field = value;
        quota_changed_ |= 1U << i;
        RecordWriter& out = log(RecordType::quota);
        out.put(i);
        out.put(value);
        out.end();
        commit();
        return Status::ok;
    }
    return Status::einval;
}

}  // namespace bulkhead::xenstore
