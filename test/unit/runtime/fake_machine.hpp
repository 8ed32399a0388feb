// SPDX-License-Identifier: Apache-2.0
// A kernel for lib/cap's host tests: slots, Untypeds with watermarks and children, frames that are mapped
// nowhere, page tables by level. Small enough to be believed; counts everything, so that a test can ask what
// was left behind.
#pragma once

#include <map>
#include <set>

#include "lib/cap/syscall.hpp"

namespace cap_test {

using namespace bulkhead;
using abi::ObjectType;
using abi::Status;

class FakeMachine final : public cap::FakeKernel {
  public:
    FakeMachine() : previous_{cap::install_fake_kernel(this)} {}
    ~FakeMachine() override { cap::install_fake_kernel(previous_); }

    struct Slot {
        ObjectType type = ObjectType::Null;
        uint64_t bits = 0, watermark = 0, parent = 0, mapped = 0;
        uint8_t rights = abi::rights::kAll;
        uint64_t badge = 0;
        unsigned children = 0;
    };
    std::map<uint64_t, Slot> slots;
    std::map<abi::Call, unsigned> calls;
    unsigned fail_after = ~0u;  // this many calls succeed, the rest answer OutOfMemory

    void give_untyped(uint64_t slot, uint64_t bits) { slots[slot] = {ObjectType::Untyped, bits}; }
    size_t count(ObjectType type) const {
        size_t n = 0;
        for (const auto& [address, slot] : slots) n += slot.type == type;
        return n;
    }

    void call(abi::Call number, cap::RawCall& c) override {
        ++calls[number];
        c.number = static_cast<uint64_t>(dispatch(number, c));
    }

  private:
    static uint64_t bytes_of(ObjectType type, uint64_t size) {
        if (type == ObjectType::Untyped || type == ObjectType::Frame) return uint64_t{1} << size;
        if (type == ObjectType::PageTable) return 8192;
        if (type == ObjectType::CNode) return 128 + (uint64_t{64} << size);
        return 512;
    }

    Status dispatch(abi::Call number, cap::RawCall& c) {
        const uint64_t* a = c.a;
        switch (number) {
            case abi::Call::Retype: return retype(a[0], static_cast<ObjectType>(a[1]), a[2], a[3]);
            case abi::Call::UntypedInfo: {
                const auto found = slots.find(a[0]);
                if (found == slots.end()) return Status::NoCapability;
                const uint64_t bits = found->second.bits, used = found->second.watermark;
                c.a[2] = bits;
                c.a[3] = (uint64_t{1} << bits) - used;
                c.a[4] = c.a[5] = 0;
                return Status::Ok;
            }
            case abi::Call::CapDelete: return erase(a[0]);
            case abi::Call::CapRevoke: return revoke(a[0]);
            case abi::Call::CapCopy:
            case abi::Call::CapMint: return derive(a[0], a[1], static_cast<uint8_t>(a[2]));
            case abi::Call::FrameMap: return frame_map(c);
            case abi::Call::TableMap: return table_map(a[1], a[2]);
            case abi::Call::Unmap:
                for (uint64_t i = 0; i < a[1]; ++i) slots[a[0] + i].mapped = 0;
                return Status::Ok;
            default: return Status::NoSuchCall;
        }
    }

    Status retype(uint64_t from, ObjectType type, uint64_t size, uint64_t to) {
        if (fail_after == 0) return Status::OutOfMemory;
        --fail_after;
        const auto found = slots.find(from);
        if (found == slots.end()) return Status::NoCapability;
        if (found->second.type != ObjectType::Untyped) return Status::WrongType;
        if (slots.contains(to)) return Status::SlotOccupied;
        const uint64_t bytes = bytes_of(type, size);
        const uint64_t align = type == ObjectType::Untyped || type == ObjectType::Frame ? bytes : 64;
        const uint64_t at = (found->second.watermark + align - 1) & ~(align - 1);
        if (at + bytes > uint64_t{1} << found->second.bits) return Status::OutOfMemory;
        found->second.watermark = at + bytes;
        ++found->second.children;
        slots[to] = {type, type == ObjectType::PageTable ? size >> 8 : size, 0, from};
        return Status::Ok;
    }

    Status derive(uint64_t to, uint64_t from, uint8_t rights) {
        if (!slots.contains(from)) return Status::NoCapability;
        if (slots.contains(to)) return Status::SlotOccupied;
        Slot made = slots[from];
        made.rights &= rights;
        made.parent = from;
        made.children = 0;
        slots[to] = made;
        ++slots[from].children;
        return Status::Ok;
    }

    Status erase(uint64_t address) {
        const auto found = slots.find(address);
        if (found == slots.end()) return Status::NoCapability;
        for (auto& [other, slot] : slots)
            if (slot.parent == address) {
                slot.parent = found->second.parent;
                if (slots.contains(slot.parent)) ++slots[slot.parent].children;
            }
        const auto parent = slots.find(found->second.parent);
        if (parent != slots.end() && --parent->second.children == 0) parent->second.watermark = 0;
        slots.erase(found);
        return Status::Ok;
    }

    Status revoke(uint64_t address) {
        if (!slots.contains(address)) return Status::NoCapability;
        for (bool again = true; again;) {
            again = false;
            for (const auto& [other, slot] : slots)
                if (slot.parent == address) {
                    revoke(other);
                    erase(other);
                    again = true;
                    break;
                }
        }
        return Status::Ok;
    }

    // Tables are known by what they cover; a root is always there.
    Status frame_map(cap::RawCall& c) {
        const uint64_t address = c.a[2];
        for (unsigned level = 3; level >= 1; --level) {
            const auto frame = slots.find(c.a[1]);
            if (frame == slots.end() || frame->second.type != ObjectType::Frame) return Status::NoCapability;
            if (level == 1 && frame->second.bits >= abi::kLargePageBits) break;
            if (!tables_.contains({level, address >> (12 + 9 * level)})) {
                c.a[2] = level;
                return Status::NoPageTable;
            }
        }
        for (uint64_t i = 0; i < c.a[4]; ++i) {
            Slot& frame = slots[c.a[1] + i];
            if (frame.mapped) return Status::AlreadyMapped;
            frame.mapped = address + (i << frame.bits);
        }
        c.a[2] = c.a[4];
        return Status::Ok;
    }

    Status table_map(uint64_t table, uint64_t address) {
        const auto found = slots.find(table);
        if (found == slots.end() || found->second.type != ObjectType::PageTable) return Status::WrongType;
        const uint64_t level = found->second.bits;
        if (address & ((uint64_t{1} << (12 + 9 * level)) - 1)) return Status::BadArgument;
        return tables_.insert({level, address >> (12 + 9 * level)}).second ? Status::Ok
                                                                           : Status::AlreadyMapped;
    }

    cap::FakeKernel* previous_;
    std::set<std::pair<uint64_t, uint64_t>> tables_;
};

}  // namespace cap_test
