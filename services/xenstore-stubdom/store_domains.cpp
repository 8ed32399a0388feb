// SPDX-License-Identifier: Apache-2.0
// What the toolstack says about domains. Each of these needs Rights::manage_domains.
#include "services/xenstore-stubdom/store.hpp"

namespace bulkhead::xenstore {
namespace {

constexpr std::size_t kDomainBytes = 64;  // introduce, shutdown and target records together
constexpr std::uint16_t kFirstReserved = 0x7ff0;

bool real_domain(DomId domid) {
    return raw(domid) != 0 && raw(domid) < kFirstReserved;
}

}  // namespace

Domain& Store::domain_entry(DomId domid) {
    const auto [it, made] = domains_.try_emplace(raw(domid));
    if (made) live_bytes_ += kDomainBytes;
    return it->second;
}

bool Store::is_introduced(DomId domid) const {
    const auto it = domains_.find(raw(domid));
    return raw(domid) == 0 || (it != domains_.end() && it->second.introduced);
}

Status Store::introduce(Session& session, DomId domid, std::uint64_t gfn, std::uint32_t port) {
    if (!session.rights.manage_domains) return Status::eacces;
    if (!real_domain(domid)) return Status::einval;
    if (!is_introduced(domid)) {
        if (const Status s = admit(session, DomId{0xffff}, 0, kDomainBytes); s != Status::ok) return s;
    }
    Domain& domain = domain_entry(domid);
    domain.introduced = true;
    domain.stopped = false;
    domain.gfn = gfn;
    domain.port = port;
    RecordWriter& out = log(RecordType::introduce);
    out.put(raw(domid));
    out.put(gfn);
    out.put(port);
    out.end();
    commit();
    fire_special("@introduceDomain", domid);
    return Status::ok;
}

Status Store::release(Session& session, DomId domid) {
    if (!session.rights.manage_domains) return Status::eacces;
    if (!real_domain(domid)) return Status::einval;
    if (!is_introduced(domid)) return Status::enoent;
    RecordWriter& out = log(RecordType::release);
    out.put(raw(domid));
    out.end();
    release_now(domid);
    commit();
    fire_special("@releaseDomain", domid);
    return Status::ok;
}

// A domain id is used again: nothing that named the old domain may mean the new one. Its nodes go, and so do
// the entries that others' permissions have for it, its watches, its transactions, and targets that point at
// it.
void Store::release_now(DomId domid) {
    std::vector<Node*> owned;
    const auto scan = [&](Tree& tree) {
        Tree::for_each(tree.root(), [&](Node& node) {
            if (node.perms.owner() == domid && node.parent != nullptr && &tree == &tree_) {
                owned.push_back(&node);
                return;
            }
            PermList kept = node.perms.list();
            std::erase_if(kept, [&](const PermEntry& entry) {
                return &entry != &kept.front() && entry.domid == domid;
            });
            if (kept.size() != node.perms.list().size())
                change_node(node, node.value, Perms(std::move(kept)));
        });
    };
    scan(tree_);
    scan(specials_);
    // Children come after their parents: going backwards never meets a node that went with its parent.
    for (std::size_t i = owned.size(); i-- > 0;) {
        tree_.path_of(*owned[i], other_);
        const std::string path = other_;
        fire_removed(path, *owned[i]);
        drop_node(*owned[i]);
    }
    for (const auto& [key, session] : sessions_) {
        if (session->domid() != domid) continue;
        close_all_transactions(*session);
        drop_all_watches(*session);
    }
    for (auto& [id, domain] : domains_) {
        if (domain.has_target && domain.target == domid) domain.has_target = false;
    }
    if (domains_.erase(raw(domid)) != 0) live_bytes_ -= kDomainBytes;
}

Status Store::resume(Session& session, DomId domid) {
    if (!session.rights.manage_domains) return Status::eacces;
    if (!real_domain(domid)) return Status::einval;
    if (!is_introduced(domid)) return Status::enoent;
    domain_entry(domid).stopped = false;
    RecordWriter& out = log(RecordType::shutdown);
    out.put(raw(domid));
    out.put(std::uint8_t{0});
    out.end();
    commit();
    return Status::ok;
}

void Store::domain_stopped(DomId domid) {
    if (!real_domain(domid) || !is_introduced(domid) || domain_entry(domid).stopped) return;
    domain_entry(domid).stopped = true;
    RecordWriter& out = log(RecordType::shutdown);
    out.put(raw(domid));
    out.put(std::uint8_t{1});
    out.end();
    commit();
    fire_special("@releaseDomain", domid);
}

Status Store::set_target(Session& session, DomId domid, DomId target) {
    if (!session.rights.manage_domains) return Status::eacces;
    if (!real_domain(domid)) return Status::einval;
    if (!is_introduced(domid) || !is_introduced(target) || !real_domain(target)) return Status::enoent;
    Domain& domain = domain_entry(domid);
    domain.has_target = true;
    domain.target = target;
    RecordWriter& out = log(RecordType::target);
    out.put(raw(domid));
    out.put(raw(target));
    out.end();
    commit();
    return Status::ok;
}

}  // namespace bulkhead::xenstore
