// SPDX-License-Identifier: Apache-2.0
#include "test/model/capability_model.hpp"

namespace bulkhead::model {

namespace rights = abi::rights;

CapabilitySpace::CapabilitySpace(uint64_t base, unsigned bits, unsigned root_slots, SizeOf size_of)
    : size_of_{size_of}, root_{std::make_shared<Object>()}, root_slots_{root_slots} {
    root_->type = ObjectType::CNode;
    root_->refs = 1;
    Cap* pool = add({root_.get(), kPool}, ObjectType::Untyped, nullptr);
    pool->base = base;
    pool->bits = bits;
}

std::optional<CapabilitySpace::Place> CapabilitySpace::place(Address a) {
    if (!a.table) return a.slot < root_slots_ ? std::optional{Place{root_.get(), a.slot}} : std::nullopt;
    const auto it = root_->slots.find(*a.table);
    if (it == root_->slots.end()) return std::nullopt;
    const Cap& table = *it->second;
    if (table.type != ObjectType::CNode || (table.rights & rights::kControl) == 0 ||
        a.slot >> table.object->bits != 0)
        return std::nullopt;
    return Place{table.object.get(), a.slot};
}

Cap* CapabilitySpace::find(Address a) {
    const auto p = place(a);
    if (!p) return nullptr;
    const auto it = p->home->slots.find(p->index);
    return it != p->home->slots.end() ? it->second : nullptr;
}

Status CapabilitySpace::empty(Address to, Place& out) {
    const auto p = place(to);
    if (!p) return Status::NoCapability;
    if (p->home->slots.count(p->index) != 0) return Status::SlotOccupied;
    out = *p;
    return Status::Ok;
}

Cap* CapabilitySpace::add(Place at, ObjectType type, Cap* parent) {
    storage_.push_back(std::make_unique<Cap>());
    Cap* cap = storage_.back().get();
    cap->type = type;
    cap->rights = rights::kAll;
    cap->home = at.home;
    cap->index = at.index;
    cap->parent = parent;
    if (parent != nullptr) parent->children.push_front(cap);
    at.home->slots[at.index] = cap;
    caps_.insert(cap);
    return cap;
}

Cap* CapabilitySpace::derive(Place to, Cap& from, uint8_t mask) {
    Cap* cap = add(to, from.type, &from);
    cap->object = from.object;
    if (cap->object) ++cap->object->refs;
    cap->rights = from.rights & mask;
    cap->badge = from.badge;
    cap->base = from.base;
    cap->bits = from.bits;
    if (from.type == ObjectType::Notification && (mask & rights::kTombstone) != 0 &&
        (from.rights & rights::kWrite) != 0)
        cap->rights |= rights::kTombstone;
    return cap;
}

Status CapabilitySpace::take(Address to, Address from, Place& out, Cap*& cap) {
    cap = find(from);
    if (cap == nullptr) return Status::NoCapability;
    if (const Status s = empty(to, out); s != Status::Ok) return s;
    if (cap->type == ObjectType::Untyped) return Status::WrongType;
    return (cap->rights & rights::kDerive) != 0 ? Status::Ok : Status::NoRights;
}

Status CapabilitySpace::copy(Address to, Address from, uint8_t mask) {
    Place p{};
    Cap* cap = nullptr;
    if (const Status s = take(to, from, p, cap); s != Status::Ok) return s;
    derive(p, *cap, mask);
    return Status::Ok;
}

Status CapabilitySpace::mint(Address to, Address from, uint8_t mask, uint64_t badge) {
    Place p{};
    Cap* cap = nullptr;
    if (const Status s = take(to, from, p, cap); s != Status::Ok) return s;
    if (cap->type != ObjectType::Endpoint && cap->type != ObjectType::Notification) return Status::WrongType;
    if (cap->badge != 0 && badge != 0 && badge != cap->badge) return Status::NoRights;
    Cap* made = derive(p, *cap, mask);
    if (badge != 0) made->badge = badge;
    return Status::Ok;
}

Status CapabilitySpace::frame_mint(Address to, Address from, uint8_t mask, uint64_t offset, unsigned bits) {
    Place p{};
    Cap* cap = nullptr;
    if (const Status s = take(to, from, p, cap); s != Status::Ok) return s;
    if (cap->type != ObjectType::Frame) return Status::WrongType;
    if (bits < 12 || bits > cap->bits || offset % (uint64_t{1} << bits) != 0 ||
        offset >= uint64_t{1} << cap->bits)
        return Status::BadArgument;
    Cap* made = derive(p, *cap, mask);
    made->base += offset;
    made->bits = bits;
    return Status::Ok;
}

Status CapabilitySpace::move(Address to, Address from) {
    Cap* cap = find(from);
    if (cap == nullptr) return Status::NoCapability;
    Place p{};
    if (const Status s = empty(to, p); s != Status::Ok) return s;
    cap->home->slots.erase(cap->index);
    cap->home = p.home;
    cap->index = p.index;
    p.home->slots[p.index] = cap;
    return Status::Ok;
}

void CapabilitySpace::erase(Cap& cap) {
    if (cap.going) return;
    cap.going = true;
    while (!cap.children.empty()) {
        Cap* child = cap.children.front();
        cap.children.pop_front();
        child->parent = cap.parent;
        if (cap.parent != nullptr) cap.parent->children.push_front(child);
    }
    if (cap.type == ObjectType::Notification && (cap.rights & rights::kTombstone) != 0)
        cap.object->bound |= cap.badge;
    if (cap.object && --cap.object->refs == 0) {
        while (!cap.object->slots.empty()) {
            auto next = cap.object->slots.begin();
            while (next != cap.object->slots.end() && next->second->going) ++next;
            if (next == cap.object->slots.end()) break;
            erase(*next->second);
        }
    }
    if (Cap* parent = cap.parent; parent != nullptr) {
        parent->children.remove(&cap);
        if (parent->children.empty()) parent->used = 0;
    }
    cap.home->slots.erase(cap.index);
    caps_.erase(&cap);
}

Status CapabilitySpace::remove(Address address) {
    Cap* cap = find(address);
    if (cap == nullptr) return Status::NoCapability;
    if (cap->type == ObjectType::Untyped && cap->parent == nullptr && !cap->children.empty())
        return Status::HasChildren;
    erase(*cap);
    return Status::Ok;
}

Status CapabilitySpace::revoke(Address address) {
    Cap* cap = find(address);
    if (cap == nullptr) return Status::NoCapability;
    while (caps_.count(cap) != 0 && !cap->children.empty()) erase(*cap->children.front());
    return Status::Ok;
}

Status CapabilitySpace::retype(Address from, ObjectType type, unsigned size, Address to, unsigned count) {
    Cap* untyped = find(from);
    if (untyped == nullptr) return Status::NoCapability;
    if (untyped->type != ObjectType::Untyped) return Status::WrongType;
    const uint64_t bytes = size_of_(type, size);
    const bool memory = type == ObjectType::Untyped || type == ObjectType::Frame;
    const uint64_t align = memory ? bytes : type == ObjectType::PageTable ? 4096 : 64;
    std::vector<uint64_t> at;
    uint64_t used = untyped->used;
    for (unsigned i = 0; i < count; ++i) {
        const uint64_t where = (untyped->base + used + align - 1) / align * align - untyped->base;
        if (where + bytes > uint64_t{1} << untyped->bits) return Status::OutOfMemory;
        at.push_back(where);
        used = where + bytes;
    }
    for (unsigned i = 0; i < count; ++i) {
        Place p{};
        if (const Status s = empty({to.table, to.slot + i}, p); s != Status::Ok) return s;
    }
    for (unsigned i = 0; i < count; ++i) {
        Cap* made = add(*place({to.table, to.slot + i}), type, untyped);
        if (memory) {
            made->base = untyped->base + at[i];
            made->bits = size;
        } else {
            made->object = std::make_shared<Object>();
            made->object->type = type;
            made->object->refs = 1;
            made->object->bits = size;
        }
    }
    untyped->used = used;
    return Status::Ok;
}

Status CapabilitySpace::thread_set_cspace(Address thread, Address cnode) {
    Cap* t = find(thread);
    if (t == nullptr) return Status::NoCapability;
    if (t->type != ObjectType::Thread) return Status::WrongType;
    if ((t->rights & rights::kControl) == 0) return Status::NoRights;
    Cap* c = find(cnode);
    if (c == nullptr) return Status::NoCapability;
    if (c->type != ObjectType::CNode) return Status::WrongType;
    if ((c->rights & rights::kControl) == 0) return Status::NoRights;
    if (const auto old = t->object->slots.find(0); old != t->object->slots.end()) erase(*old->second);
    if (caps_.count(c) == 0) return Status::NoCapability;
    if (caps_.count(t) == 0) return Status::Ok;
    derive({t->object.get(), 0}, *c, rights::kAll);
    return Status::Ok;
}

}  // namespace bulkhead::model
