// SPDX-License-Identifier: Apache-2.0
#include "test/bench/stage.hpp"

#include <cstdlib>
#include <cstring>

extern "C" const char __start_side_code[], __stop_side_code[];

namespace bulkhead::stage {

namespace map = abi::map;
namespace rights = abi::rights;

void fail(const std::string& why) {
    cap::log_line("FAILED " + why);
    for (;;) cap::drop(cap::sys::thread_suspend(cap::kMainThread));
}

void require(Status status, const char* what) {
    if (status != Status::Ok) fail(std::string{what} + ": " + cap::describe(status));
}

void require(const cap::Result& result, const char* what) {
    require(result.status, what);
}

uint64_t Machine::option(const char* key, uint64_t otherwise) const {
    const char* found = std::strstr(root.boot.options, (std::string{key} + '=').c_str());
    return found ? std::strtoull(found + std::strlen(key) + 1, nullptr, 0) : otherwise;
}

Machine& machine() {
    static Machine* made = [] {
        const abi::StartInfo* start = cap::start_info();
        if (!start) std::abort();
        auto* env = new cap::Environment{*start};
        const abi::NamedCap* info = cap::find_cap(*start, "root-info");
        if (!info) fail("the kernel did not say where its RootInfo is");
        const auto& root = *reinterpret_cast<const abi::RootInfo*>(info->mapped.base);
        for (uint32_t i = 0; i < root.untypeds; i++)
            if (root.untyped[i].device == 0 && root.untyped[i].size_bits >= abi::kLargePageBits)
                env->memory.add(CapAddr{0, abi::root::kFirstUntyped + i});
        return new Machine{*env, root};
    }();
    return *made;
}

namespace {
template <typename T>
T must(cap::Expected<T> value, const char* what) {
    if (!value) fail(std::string{what} + ": " + cap::describe(value.error()));
    return std::move(*value);
}
constexpr unsigned kWorkshopBits = 10;
}  // namespace

Side::Side(const SideOptions& options) : options_{options} {
    cap::Environment& env = machine().env;
    workshop_ = must(env.memory.create<cap::CNode>(kWorkshopBits), "a CNode for a side's capabilities");
    memory_ = must(env.memory.untyped(options.memory_bits), "memory for a side");
    thread_ = make(abi::ObjectType::Thread);
    sched_ = make(abi::ObjectType::SchedContext);
    require(cap::sys::sched_configure(kSchedControl, sched_, options.cpu, options.priority,
                                      abi::kWeightDefault, 0),
            "configuring a side's SchedContext");
    if (options.own_space) {
        cnode_ = make(abi::ObjectType::CNode, kCNodeBits);
        // So that slots in it can be named: a copy in the root CNode.
        vspace_ = make(abi::ObjectType::PageTable, abi::table_size_arg(abi::TableKind::Host, 4));
        require(cap::sys::tag_set(kTagControl, cnode_, options.tag), "tagging a side's CNode");
        copy_code();
    } else {
        cnode_ = cap::kOwnCNode;
        vspace_ = cap::kOwnVSpace;
    }
    require(cap::sys::tag_set(kTagControl, thread_, options.tag), "tagging a side's thread");
    stack_ = static_cast<std::byte*>(page(kStack, map::kRead | map::kWrite));
    CapAddr frame;
    buffer_ = static_cast<abi::IpcBuffer*>(page(kBuffer, map::kRead | map::kWrite, &frame));
    using abi::ThreadSlot;
    require(cap::sys::thread_set(thread_, ThreadSlot::CSpace, cnode_), "a side's CSpace");
    require(cap::sys::thread_set(thread_, ThreadSlot::VSpace, vspace_), "a side's VSpace");
    require(cap::sys::thread_set(thread_, ThreadSlot::IpcBuffer, frame), "a side's IPC buffer");
    require(cap::sys::thread_set(thread_, ThreadSlot::SchedContext, sched_), "a side's SchedContext");
}

Side::~Side() {
    require(cap::sys::cap_revoke(memory_.address()), "revoking a side's memory");
    here_.clear();
}

CapAddr Side::slot() {
    if (next_slot_ >> kWorkshopBits) fail("a side has too many capabilities");
    return CapAddr{workshop_.address().slot(), next_slot_++};
}

CapAddr Side::make(abi::ObjectType type, uint64_t size) {
    const CapAddr at = slot();
    require(cap::sys::retype(memory_.address(), type, size, at), "making an object of a side");
    return at;
}

CapAddr Side::give(uint32_t index, CapAddr source, uint8_t mask, uint64_t badge) {
    if (!options_.own_space && badge == 0) return source;
    const CapAddr made = slot();
    require(
        badge != 0 ? cap::sys::cap_mint(made, source, mask, badge) : cap::sys::cap_copy(made, source, mask),
        "copying a capability");
    if (!options_.own_space) return made;
    hand(index, made);
    return CapAddr{0, index};
}

// A CSpace is two levels deep, and the Side's CNode lies in the workshop: it visits the root CNode for the
// move.
void Side::hand(uint32_t index, CapAddr made) {
    auto& slots = machine().env.cspace.slots();
    const auto visitor = slots.allocate();
    if (!visitor) fail("no free slots");
    require(cap::sys::cap_copy(*visitor, cnode_, rights::kAll), "naming a side's CNode");
    require(cap::sys::cap_move(CapAddr{visitor->slot(), index}, made),
            "moving a capability into a side's CNode");
    require(cap::sys::cap_delete(*visitor), "unnaming a side's CNode");
    slots.free(*visitor);
}

void Side::map(CapAddr frame, uint64_t address, uint64_t flags) {
    for (;;) {
        const cap::Result r = cap::sys::frame_map(vspace_, frame, address, flags);
        if (r.status != Status::NoPageTable) return require(r, "mapping a side's page");
        const uint64_t span = uint64_t{1} << (12 + 9 * r.r0);
        const CapAddr table = make(abi::ObjectType::PageTable,
                                   abi::table_size_arg(abi::TableKind::Host, static_cast<unsigned>(r.r0)));
        require(cap::sys::table_map(vspace_, table, address & ~(span - 1)), "mapping a side's page table");
    }
}

void* Side::page(uint64_t address, uint64_t flags, CapAddr* out) {
    const CapAddr frame = make(abi::ObjectType::Frame, abi::kPageBits), copy = slot();
    require(cap::sys::cap_copy(copy, frame, rights::kRead | rights::kWrite), "copying a side's frame");
    here_.push_back(must(machine().env.mapper.map(copy, abi::kPageBits, map::kRead | map::kWrite),
                         "mapping a side's page here"));
    if (options_.own_space) map(frame, address, flags);
    if (out) *out = frame;
    return here_.back().data();
}

// The routines move as a whole, so that their distances stay.
void Side::copy_code() {
    const auto start = reinterpret_cast<uint64_t>(__start_side_code) & ~(abi::kPageSize - 1);
    const auto end = reinterpret_cast<uint64_t>(__stop_side_code);
    for (uint64_t at = start; at < end; at += abi::kPageSize)
        std::memcpy(page(kCode + (at - start), map::kRead | map::kExecute), reinterpret_cast<const void*>(at),
                    abi::kPageSize);
}

uint64_t Side::code_there(uint64_t here) const {
    return options_.own_space
               ? here - (reinterpret_cast<uint64_t>(__start_side_code) & ~(abi::kPageSize - 1)) + kCode
               : here;
}

void Side::start_at(uint64_t rip, uint64_t a, uint64_t b) {
    require(cap::sys::thread_start(thread_, rip, stack_top_there(), a, b, 0), "starting a side");
}

void Side::make_passive() {
    require(cap::sys::thread_set(thread_, abi::ThreadSlot::SchedContext, CapAddr{}), "making a side passive");
}

}  // namespace bulkhead::stage
