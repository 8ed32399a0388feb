// SPDX-License-Identifier: Apache-2.0
// An executable model of the capability space: what the calls on capabilities mean, in the simplest terms
// (maps, recursion, no preemption, no slots inside memory). The kernel's code is run against it.
#pragma once

#include <list>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include "abi/syscall.hpp"

namespace bulkhead::model {

using abi::ObjectType;
using abi::Status;

struct Object {
    ObjectType type;
    unsigned refs = 0;
    unsigned bits = 0;                      // CNode
    uint64_t bound = 0;                     // Notification: signalled bits
    std::map<uint32_t, struct Cap*> slots;  // CNode, Thread
};

struct Cap {
    ObjectType type{};
    std::shared_ptr<Object> object;  // not for Untyped, Frame
    Object* home = nullptr;
    uint32_t index = 0;
    uint8_t rights = 0;
    uint64_t badge = 0;
    uint64_t base = 0;  // Untyped, Frame
    unsigned bits = 0;
    uint64_t used = 0;  // Untyped: watermark
    Cap* parent = nullptr;
    std::list<Cap*> children;  // newest first
    bool going = false;
};

// Sizes of objects are the kernel's business.
using SizeOf = uint64_t (*)(ObjectType, uint64_t);

class CapabilitySpace {
  public:
    CapabilitySpace(uint64_t base, unsigned bits, unsigned root_slots, SizeOf size_of);

    // An address: slot of the root table, or (table << 32 | slot); all numbers count from 0 here.
    struct Address {
        std::optional<uint32_t> table;
        uint32_t slot;
    };
    static constexpr uint32_t kPool = 0;  // the root slot with the Untyped of all memory

    Status copy(Address to, Address from, uint8_t rights);
    Status mint(Address to, Address from, uint8_t rights, uint64_t badge);
    Status frame_mint(Address to, Address from, uint8_t rights, uint64_t offset, unsigned bits);
    Status move(Address to, Address from);
    Status remove(Address slot);
    Status revoke(Address slot);
    Status retype(Address untyped, ObjectType type, unsigned size, Address to, unsigned count);
    Status thread_set_cspace(Address thread, Address cnode);

    Cap* find(Address address);
    Object& root() { return *root_; }
    const std::set<Cap*>& all() const { return caps_; }

  private:
    struct Place {
        Object* home;
        uint32_t index;
    };
    std::optional<Place> place(Address address);
    Status take(Address to, Address from, Place& place, Cap*& cap);
    Status empty(Address to, Place& place);
    Cap* derive(Place to, Cap& from, uint8_t rights);
    Cap* add(Place at, ObjectType type, Cap* parent);
    void erase(Cap& cap);

    SizeOf size_of_;
    std::shared_ptr<Object> root_;
    unsigned root_slots_;
    std::set<Cap*> caps_;
    std::vector<std::unique_ptr<Cap>> storage_;
};

}  // namespace bulkhead::model
