// SPDX-License-Identifier: Apache-2.0
// Watches: registering them, and finding whom a change concerns.
#include "services/xenstore-stubdom/store.hpp"

#include <algorithm>

namespace bulkhead::xenstore {
namespace {

// An event is path|token| and must fit in 4096 bytes whatever the path.
constexpr std::size_t kMaxToken = 4096 - kMaxAbsolutePath - 2;
constexpr std::string_view kIntroduce = "@introduceDomain", kRelease = "@releaseDomain";

}  // namespace

// A watcher hears of what it may read, and of what disappears or is hidden below something that it may read.
bool Store::may_see(const Watch& watch, const Node& node) const {
    const Subject subject = subject_of(*watch.session);
    if (allows(access_of(subject, node.perms), Access::read)) return true;
    return node.parent != nullptr && allows(access_of(subject, node.parent->perms), Access::read);
}

void Store::queue(Watch& watch, std::string_view path) {
    Session& session = *watch.session;
    if (!session.attached) return;  // when it comes back, each of its watches fires
    session.queue_event(watch, path, quota_);
    if (session.announced_) return;
    session.announced_ = true;
    ready_.push_back(&session);
}

void Store::deliver(Watch& watch, std::string_view canonical) {
    queue(watch, watch.relative ? canonical.substr(watch.session->home().size() + 1) : canonical);
}

void Store::fire(std::string_view path, const Node& node) {
    watches_.for_each_above(path, [&](Watch& watch, int levels) {
        if (watch.depth >= 0 && levels > watch.depth) return;
        if (may_see(watch, node)) deliver(watch, path);
    });
}

// Called while the nodes are still there. A watch below the removed node hears its own path.
void Store::fire_removed(std::string_view path, Node& top) {
    fire(path, top);
    WatchNode* at = watches_.find(path);
    if (at == nullptr) return;
    struct Step {
        WatchNode* watched;
        Node* node;
    };
    std::vector<Step> stack{{at, &top}};
    while (!stack.empty()) {
        const Step step = stack.back();
        stack.pop_back();
        for (WatchNode* child : step.watched->children) {
            Node* node = step.node->children.find(child->name);
            if (node == nullptr) continue;
            for (Watch* watch : child->watches)
                if (may_see(*watch, *node)) queue(*watch, watch->path);
            stack.push_back({child, node});
        }
    }
}

void Store::fire_special(std::string_view name, DomId domid) {
    const Node* node = specials_.find(name);
    if (node == nullptr) return;
    other_.assign(name);
    other_ += '/';
    other_ += std::to_string(raw(domid));
    special_watches_.for_each_above(other_, [&](Watch& watch, int levels) {
        const Subject subject = subject_of(*watch.session);
        if (!allows(access_of(subject, node->perms), Access::read)) return;
        const bool with_domid = levels == 0 || watch.depth == 1;
        queue(watch, with_domid ? std::string_view(other_) : name);
    });
}

Watch* Store::find_watch(Session& session, std::string_view canonical, std::string_view token) {
    WatchNode* at = watches_of(canonical).find(canonical);
    if (at == nullptr) return nullptr;
    const auto it = std::find_if(at->watches.begin(), at->watches.end(), [&](const Watch* watch) {
        return watch->session == &session && watch->token == token;
    });
    return it == at->watches.end() ? nullptr : *it;
}

Watch& Store::place_watch(Session& session, std::string_view canonical, std::string_view given,
                          std::string_view token, std::int32_t depth) {
    auto made = std::make_unique<Watch>();
    Watch& watch = *made;
    watch.session = &session;
    watch.path.assign(given);
    watch.token.assign(token);
    watch.depth = depth;
    watch.relative = given.front() != '/' && !is_special(given);
    watches_of(canonical).add(watch, canonical);
    session.watches_.push_back(std::move(made));
    const std::size_t size = watch_record_size(given.size(), token.size());
    Account& account = account_of(session.domid());
    ++account.watches;
    account.stored_bytes += size;
    live_bytes_ += size;
    return watch;
}

void Store::lift_watch(Session& session, std::size_t index) {
    Watch& watch = *session.watches_[index];
    session.forget_events(watch);
    (is_special(watch.path) ? special_watches_ : watches_).remove(watch);
    const std::size_t size = watch_record_size(watch.path.size(), watch.token.size());
    Account& account = account_of(session.domid());
    --account.watches;
    account.stored_bytes -= size;
    live_bytes_ -= size;
    session.watches_.erase(session.watches_.begin() + static_cast<std::ptrdiff_t>(index));
    settle(session.domid());
}

void Store::drop_all_watches(Session& session) {
    session.forget_all_events();
    for (const auto& watch : session.watches_) watch->pending = 0, watch->collapsed = false;
    while (!session.watches_.empty()) lift_watch(session, session.watches_.size() - 1);
}

void Store::lift_all_watches(Session& session) {
    if (session.watches_.empty()) return;
    drop_all_watches(session);
    RecordWriter& out = log(RecordType::reset_watches);
    out.put(static_cast<std::uint64_t>(session.key()));
    out.end();
}

Status Store::watch(Session& session, std::string_view given, std::string_view token, std::int32_t depth) {
    if (const Status s = canonicalize(given, session.home(), SpecialPaths::allowed, path_); s != Status::ok)
        return s;
    if (token.size() > kMaxToken) return Status::e2big;
    if (depth >= 0 && is_special(path_) && (depth != 1 || (path_ != kIntroduce && path_ != kRelease)))
        return Status::einval;
    if (find_watch(session, path_, token) != nullptr) return Status::eexist;
    if (!session.rights.unlimited && account(session.domid()).watches >= quota_.watches) return Status::e2big;
    const auto size = static_cast<std::int64_t>(watch_record_size(given.size(), token.size()));
    if (const Status s = admit(session, session.domid(), 0, size); s != Status::ok) return s;
    Watch& watch = place_watch(session, path_, given, token, depth);
    write_watch(log(RecordType::watch), watch);
    commit();
    queue(watch, watch.path);
    return Status::ok;
}

Status Store::unwatch(Session& session, std::string_view given, std::string_view token) {
    if (const Status s = canonicalize(given, session.home(), SpecialPaths::allowed, path_); s != Status::ok)
        return s;
    const Watch* watch = find_watch(session, path_, token);
    if (watch == nullptr) return Status::enoent;
    RecordWriter& out = log(RecordType::unwatch);
    out.put(static_cast<std::uint64_t>(session.key()));
    out.put_string(watch->path);
    out.put_string(token);
    out.end();
    const auto it = std::find_if(session.watches_.begin(), session.watches_.end(),
                                 [&](const auto& each) { return each.get() == watch; });
    lift_watch(session, static_cast<std::size_t>(it - session.watches_.begin()));
    commit();
    return Status::ok;
}

Status Store::reset_watches(Session& session) {
    close_all_transactions(session);
    lift_all_watches(session);
    commit();
    return Status::ok;
}

}  // namespace bulkhead::xenstore
