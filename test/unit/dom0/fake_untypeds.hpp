// SPDX-License-Identifier: Apache-2.0
// A kernel that knows Untypeds alone: retype, revoke, delete, and where each lies. It can be told to end the
// caller's life before or after any of its calls.
#pragma once

#include <map>
#include <stdexcept>

#include "lib/cap/syscall.hpp"

namespace bulkhead::dom0 {

struct Death : std::runtime_error {
    Death() : std::runtime_error{"dom0 died"} {}
};

class FakeUntypeds final : public cap::FakeKernel {
  public:
    struct Slot {
        unsigned bits = 0;
        std::uint64_t base = 0, watermark = 0, parent = 0;
    };

    FakeUntypeds() { previous_ = cap::install_fake_kernel(this); }
    ~FakeUntypeds() override { cap::install_fake_kernel(previous_); }

    void add_root(cap::CapAddr at, unsigned bits, std::uint64_t base) { slots[at.raw] = {bits, base, 0, 0}; }
    // The n-th call from now on is the last one; carried out or not.
    void die_at(std::uint64_t n, bool carried_out) { calls_left_ = n, after_ = carried_out, armed_ = true; }
    void live() { armed_ = false; }

    void call(abi::Call number, cap::RawCall& c) override {
        const bool last = armed_ && calls_left_-- == 0;
        if (last && !after_) throw Death{};
        c.number = static_cast<std::uint64_t>(act(number, c));
        if (last) throw Death{};
    }

    std::map<std::uint64_t, Slot> slots;

  private:
    abi::Status act(abi::Call number, cap::RawCall& c) {
        const auto it = slots.find(c.a[0]);
        if (it == slots.end()) return abi::Status::NoCapability;
        switch (number) {
            case abi::Call::UntypedInfo:
                c.a[2] = it->second.bits;
                c.a[3] = (std::uint64_t{1} << it->second.bits) - it->second.watermark;
                c.a[4] = 0;
                return abi::Status::Ok;
            case abi::Call::Retype: return retype(it->first, it->second, c);
            case abi::Call::CapRevoke: return revoke(it->first), abi::Status::Ok;
            case abi::Call::CapDelete: return remove(it->first), abi::Status::Ok;
            default: return abi::Status::NoSuchCall;
        }
    }
    abi::Status retype(std::uint64_t at, Slot& from, const cap::RawCall& c) {
        const std::uint64_t bytes = std::uint64_t{1} << c.a[2];
        if (c.a[1] != static_cast<std::uint64_t>(abi::ObjectType::Untyped)) return abi::Status::BadArgument;
        if (slots.contains(c.a[3])) return abi::Status::SlotOccupied;
        if (from.watermark + bytes > std::uint64_t{1} << from.bits) return abi::Status::OutOfMemory;
        slots[c.a[3]] = {static_cast<unsigned>(c.a[2]), from.base + from.watermark, 0, at};
        from.watermark += bytes;
        return abi::Status::Ok;
    }
    void revoke(std::uint64_t at) {
        for (auto it = slots.begin(); it != slots.end();) {
            if (it->second.parent == at) {
                const std::uint64_t child = it->first;
                revoke(child);
                slots.erase(child);
                it = slots.begin();
            } else {
                ++it;
            }
        }
        slots[at].watermark = 0;
    }
    void remove(std::uint64_t at) {
        const std::uint64_t parent = slots[at].parent;
        for (auto& [where, slot] : slots)
            if (slot.parent == at) slot.parent = parent;
        slots.erase(at);
    }

    cap::FakeKernel* previous_;
    std::uint64_t calls_left_ = 0;
    bool after_ = false, armed_ = false;
};

}  // namespace bulkhead::dom0
