// SPDX-License-Identifier: Apache-2.0
#include "services/vmm-stubdom/guest_ram.hpp"

#include <algorithm>
#include <bit>

namespace bulkhead::vmm {

using cap::CapAddr;
using cap::Status;

namespace {

constexpr uint64_t kLarge = uint64_t{1} << abi::kLargePageBits;
constexpr uint64_t kGuestRights = abi::map::kRead | abi::map::kWrite | abi::map::kExecute;
constexpr uint64_t kOwnRights = abi::map::kRead | abi::map::kWrite;
constexpr unsigned kSpecialBits = 15;
static_assert(kSpecialPagesSize == 1u << kSpecialBits && kSpecialPagesBase % kSpecialPagesSize == 0);

}  // namespace

std::expected<std::unique_ptr<GuestRam>, std::string> GuestRam::create(cap::Environment& env,
                                                                       uint64_t ram_bytes) {
    ram_bytes &= ~(kLarge - 1);
    std::unique_ptr<GuestRam> ram{new GuestRam{env, ram_bytes}};
    const uint64_t had = env.memory.free_bytes();
    const auto failed = [&](const char* what, Status status) {
        return std::unexpected{std::string{"the guest's memory ("} + std::to_string(ram_bytes >> 20) +
                               " MiB) cannot be made: " + what + ": " + cap::describe(status) +
                               "; this VMM was given " + std::to_string(had >> 20) + " MiB"};
    };
    auto root = env.memory.create<cap::PageTable>(abi::table_size_arg(abi::TableKind::Guest, 4));
    if (!root) return failed("page table", root.error());
    ram->root_ = std::move(*root);

    // Two capabilities a frame, in a CNode of their own: a guest's size must not depend on how many slots
    // this domain was given.
    auto slots = env.memory.create<cap::CNode>(std::bit_width(2 * (ram_bytes >> abi::kLargePageBits) + 1));
    if (!slots) return failed("capability slots", slots.error());
    ram->slots_ = std::move(*slots);

    GuestMemory::Segment segments[3];
    std::size_t count = 0;
    const auto add = [&](uint64_t base, uint64_t bytes) {
        std::byte* host = nullptr;
        const Status status = ram->add_range(base, bytes, host);
        if (status == Status::Ok) segments[count++] = {GuestPhys{base}, bytes, host};
        return status;
    };
    const GuestLayout& layout = ram->layout_;
    if (const Status status = add(0, layout.low_top()); status != Status::Ok) return failed("RAM", status);
    if (const Status status = ram->add_small(kSpecialPagesBase, kSpecialBits, ram->special_);
        status != Status::Ok)
        return failed("special pages", status);
    segments[count++] = {GuestPhys{kSpecialPagesBase}, kSpecialPagesSize, ram->special_};
    if (layout.high_top() > kHighRamBase)
        if (const Status status = add(kHighRamBase, layout.high_top() - kHighRamBase); status != Status::Ok)
            return failed("RAM above 4 GiB", status);
    ram->memory_ = GuestMemory::create({segments, count});
    if (!ram->memory_) return failed("layout", Status::BadArgument);
    return ram;
}

std::byte* GuestRam::special_page(Gfn frame) const {
    return special_ + (frame.address().value() - kSpecialPagesBase);
}

Status GuestRam::map_guest(uint64_t address, CapAddr first, unsigned bits, uint64_t count) {
    uint64_t done = 0;
    for (;;) {
        const uint64_t at = address + (done << bits);
        const cap::Result r = cap::sys::frame_map(root_.address(), first.plus(static_cast<uint32_t>(done)),
                                                  at, kGuestRights, count - done);
        if (r.status != Status::NoPageTable) return r.status;
        done += r.r1;  // these were mapped before a table was missing
        auto table = env_.memory.create<cap::PageTable>(
            abi::table_size_arg(abi::TableKind::Guest, static_cast<unsigned>(r.r0)));
        if (!table) return table.error();
        if (const Status status =
                cap::sys::table_map(root_.address(), table->address(), address + (done << bits));
            status != Status::Ok)
            return status;
        tables_.push_back(std::move(*table));
    }
}

// As large a piece as there is: one Untyped, its frames in consecutive slots, their copies in as many more.
Status GuestRam::add_chunk(uint64_t guest_base, uint64_t host_base, uint64_t most, uint64_t& done) {
    unsigned bits = std::min<unsigned>(static_cast<unsigned>(std::bit_width(most)) - 1, abi::kHugePageBits);
    auto chunk = env_.memory.untyped(bits);
    while (!chunk && bits > abi::kLargePageBits) chunk = env_.memory.untyped(--bits);
    if (!chunk) return chunk.error();
    const auto count = static_cast<uint32_t>(uint64_t{1} << (bits - abi::kLargePageBits));
    const CapAddr frames{slots_.address().slot(), next_slot_},
        copies{slots_.address().slot(), next_slot_ + count};
    next_slot_ += 2 * count;
    if (const Status status =
            cap::sys::retype(chunk->address(), cap::ObjectType::Frame, abi::kLargePageBits, frames, count);
        status != Status::Ok)
        return status;
    for (uint32_t i = 0; i < count; ++i)
        if (const Status status =
                cap::sys::cap_copy(copies.plus(i), frames.plus(i),
                                   abi::rights::kRead | abi::rights::kWrite | abi::rights::kExecute);
            status != Status::Ok)
            return status;
    if (const Status status = env_.mapper.map_at(host_base, frames, abi::kLargePageBits, kOwnRights, count);
        status != Status::Ok)
        return status;
    if (const Status status = map_guest(guest_base, copies, abi::kLargePageBits, count); status != Status::Ok)
        return status;
    chunks_.push_back(std::move(*chunk));
    done = uint64_t{1} << bits;
    return Status::Ok;
}

Status GuestRam::add_range(uint64_t guest_base, uint64_t bytes, std::byte*& host) {
    const auto window = env_.mapper.reserve(bytes, kLarge);
    if (!window) return Status::OutOfMemory;
    host = reinterpret_cast<std::byte*>(*window);
    for (uint64_t offset = 0, done = 0; offset < bytes; offset += done)
        if (const Status status = add_chunk(guest_base + offset, *window + offset, bytes - offset, done);
            status != Status::Ok)
            return status;
    return Status::Ok;
}

Status GuestRam::add_small(uint64_t guest_base, unsigned bits, std::byte*& host) {
    auto frame = env_.memory.create<cap::Frame>(bits);
    if (!frame) return frame.error();
    auto copy = env_.cspace.copy<cap::Frame>(
        frame->address(), abi::rights::kRead | abi::rights::kWrite | abi::rights::kExecute);
    if (!copy) return copy.error();
    auto mapping = env_.mapper.map(frame->address(), bits, kOwnRights);
    if (!mapping) return mapping.error();
    if (const Status status = map_guest(guest_base, copy->address(), bits, 1); status != Status::Ok)
        return status;
    host = mapping->data();
    small_.push_back({std::move(*frame), std::move(*copy), std::move(*mapping)});
    return Status::Ok;
}

std::byte* GuestRam::populate(Gfn frame) {
    if (!frame.addressable()) return nullptr;
    // Not over the LAPIC's page, which must keep faulting.
    if (frame == Gfn::containing(GuestPhys{kLapicBase})) return nullptr;
    std::byte* host = nullptr;
    return add_small(frame.address().value(), abi::kPageBits, host) == Status::Ok ? host : nullptr;
}

}  // namespace bulkhead::vmm
