// SPDX-License-Identifier: Apache-2.0
// What the checks share: a verdict, and objects made the simplest way.
#pragma once

#include <cstdio>

#include "lib/cap/environment.hpp"

namespace bulkhead::kernel_root {

using cap::CapAddr;
using cap::Status;
namespace sys = cap::sys;

inline int failures;

inline void check(bool good, const char* what, uint64_t detail = 0) {
    std::printf("%s: %s (%#lx)\n", good ? "ok" : "FAILED", what, static_cast<unsigned long>(detail));
    if (!good) ++failures;
}

inline uint64_t tsc() {
    return __builtin_ia32_rdtsc();
}

// Slots and memory, the simplest way: count up; the largest Untyped that RootInfo names.
class Resources {
  public:
    explicit Resources(const abi::StartInfo& start) : next_{start.free_slots.first} {
        const abi::NamedCap* info = cap::find_cap(start, "root-info");
        const auto& root = *reinterpret_cast<const abi::RootInfo*>(info->mapped.base);
        unsigned best = 0;
        for (uint32_t i = 0; i < root.untypeds; ++i)
            if (root.untyped[i].device == 0 && root.untyped[i].size_bits > best) {
                best = root.untyped[i].size_bits;
                memory_ = CapAddr{0, abi::root::kFirstUntyped + i};
            }
        window_ = start.window.base;
    }
    CapAddr slot() { return CapAddr{0, next_++}; }
    CapAddr make(abi::ObjectType type, uint64_t size = 0) {
        const CapAddr at = slot();
        const Status status = sys::retype(memory_, type, size, at);
        if (status != Status::Ok) check(false, "retype", static_cast<uint64_t>(status));
        return at;
    }
    void map_into(CapAddr root, abi::TableKind kind, CapAddr frame, uint64_t address, uint64_t flags) {
        for (;;) {
            const cap::Result r = sys::frame_map(root, frame, address, flags);
            if (r.status != Status::NoPageTable) {
                if (r.status != Status::Ok) check(false, "frame_map", static_cast<uint64_t>(r.status));
                return;
            }
            const unsigned level = static_cast<unsigned>(r.r0);
            const CapAddr table = make(abi::ObjectType::PageTable, abi::table_size_arg(kind, level));
            const uint64_t span = uint64_t{1} << (12 + 9 * level);
            if (const Status status = sys::table_map(root, table, address & ~(span - 1));
                status != Status::Ok) {
                check(false, "table_map", static_cast<uint64_t>(status));
                return;
            }
        }
    }
    void* map_here(CapAddr frame, uint64_t bytes) {
        const uint64_t at = window_;
        window_ += (bytes + 0x1fffff) & ~uint64_t{0x1fffff};
        map_into(cap::kOwnVSpace, abi::TableKind::Host, frame, at, abi::map::kRead | abi::map::kWrite);
        return reinterpret_cast<void*>(at);
    }

  private:
    uint32_t next_;
    CapAddr memory_;
    uint64_t window_;
};

}  // namespace bulkhead::kernel_root
