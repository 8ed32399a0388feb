// SPDX-License-Identifier: Apache-2.0
// A dom0 that hands memory over and keeps a copy of everything that it ever made of it: frames (mapped, too),
// page tables (one mapped in its own address space, with a frame in it), a CNode with copies, a thread,
// untypeds. After Finish it tries every operation on all of them. It must not read nor change a byte of what
// was spawned; killing it is its right, and then it gets zeroes. Ends with `DISHONEST ok …` or `FAILED …`.
#include <cstring>
#include <vector>

#include "lib/ring/peer_access.hpp"
#include "test/attack/pattern.hpp"
#include "toolstack/dom0/spawner.hpp"

namespace bulkhead::attack {
namespace {

namespace sys = cap::sys;
namespace map = abi::map;
namespace rights = abi::rights;
using abi::ObjectType;
using cap::CapAddr;
using cap::Status;

constexpr unsigned kChunkBits = 24, kRounds = 5;
constexpr uint32_t kSlots = 64;

[[noreturn]] void fail(const std::string& why) {
    cap::log_line("FAILED DISHONEST: " + why);
    for (;;) cap::drop(sys::wait(CapAddr{}, abi::kDeadlineNever));
}
void require(Status status, const char* what) {
    if (status != Status::Ok) fail(std::string{what} + ": " + cap::describe(status));
}

class Dom0 {
  public:
    explicit Dom0(cap::Environment& env)
        : env_{env},
          spawner_{env, cap::address(*cap::find_cap(env.start, "spawn"))},
          kept_{cap::find_cap(env.start, "kept")->slot} {
        for (uint32_t& slot : slots_) {
            const auto free = env_.cspace.slots().allocate();
            if (!free) fail("no free slots");
            slot = free->slot();
        }
    }

    void run() {
        for (round_ = 0; round_ < kRounds; ++round_) {
            take_chunk();
            make_things();
            spawn();
            const CapAddr control = control_endpoint();
            intact(control, "right after the start");
            look_at_old_addresses();
            try_everything();
            intact(control, "after every operation on what was kept");
            kill();
        }
        cap::log_line("DISHONEST ok rounds=" + std::to_string(kRounds) + " operations=" +
                      std::to_string(operations_) + " victim_bytes=" + std::to_string(victim_bytes_));
    }

  private:
    CapAddr at(unsigned index) const { return CapAddr{0, slots_[index]}; }
    // Slots by use: 0 the parent that dom0 keeps, 1 the child that is handed over, from 2 on what was made of
    // it.
    CapAddr parent() const { return at(0); }
    CapAddr child() const { return at(1); }
    CapAddr thing() { return at(things_++); }

    void take_chunk() {
        things_ = 2;
        for (uint32_t n = 1; n < 200; ++n) {
            const auto state = sys::untyped_info(CapAddr{kept_, n});
            if (!state.ok() || state.free_bytes < (uint64_t{1} << kChunkBits)) continue;
            if (sys::retype(CapAddr{kept_, n}, ObjectType::Untyped, kChunkBits, parent()) == Status::Ok)
                break;
        }
        require(sys::retype(parent(), ObjectType::Untyped, kChunkBits, child()),
                "making the child that is handed over");
        if (sys::cap_copy(thing(), child(), rights::kAll) == Status::Ok) fail("an Untyped was copied");
    }

    CapAddr make(ObjectType type, uint64_t size = 0) {
        const CapAddr made = thing();
        require(sys::retype(child(), type, size, made), "making something of the chunk");
        return made;
    }
    CapAddr copy(CapAddr source) {
        const CapAddr made = thing();
        require(sys::cap_copy(made, source, rights::kAll), "copying something of the chunk");
        return made;
    }

    void make_things() {
        const CapAddr frame = make(ObjectType::Frame, abi::kLargePageBits),
                      small = make(ObjectType::Frame, abi::kPageBits);
        map_here(frame, abi::kLargePageBits);
        map_here(copy(frame), abi::kLargePageBits);
        map_here(small, abi::kPageBits);
        const CapAddr part = thing();
        require(sys::frame_mint(part, frame, rights::kAll, abi::kPageSize, abi::kPageBits),
                "minting a part of a frame");
        map_here(part, abi::kPageBits);
        map_by_own_table(copy(small));
        const CapAddr cnode = make(ObjectType::CNode, 6);
        require(sys::cap_copy(CapAddr{cnode.slot(), 1}, frame, rights::kAll),
                "a copy in a CNode of the chunk");
        require(sys::cap_copy(CapAddr{cnode.slot(), 2}, cap::kOwnVSpace, rights::kAll),
                "the own VSpace in a CNode of the chunk");
        inner_ = cnode.slot();
        copy(cnode);
        const CapAddr thread = make(ObjectType::Thread);
        require(sys::thread_set(thread, abi::ThreadSlot::VSpace, cap::kOwnVSpace), "the thread's VSpace");
        require(sys::thread_set(thread, abi::ThreadSlot::IpcBuffer, small), "the thread's IPC buffer");
        copy(thread);
        for (const ObjectType type :
             {ObjectType::Endpoint, ObjectType::Reply, ObjectType::Notification, ObjectType::SchedContext})
            copy(make(type));
        make(ObjectType::Untyped, 16);
        make(ObjectType::PageTable, abi::table_size_arg(abi::TableKind::Host, 4));
    }

    void map_here(CapAddr frame, unsigned bits) {
        auto mapping = env_.mapper.map(frame, bits, map::kRead | map::kWrite);
        if (!mapping) fail(std::string{"mapping a frame of the chunk: "} + cap::describe(mapping.error()));
        addresses_.push_back(mapping->address());
        mappings_.push_back(std::move(*mapping));
    }

    // A page table made of the chunk, in the own address space: the walk itself would go through the victim's
    // memory.
    void map_by_own_table(CapAddr frame) {
        const auto address = env_.mapper.reserve(2 << 20, 1 << 30);
        if (!address) fail("no addresses");
        for (;;) {
            const cap::Result r = sys::frame_map(cap::kOwnVSpace, frame, *address, map::kRead | map::kWrite);
            if (r.ok()) break;
            if (r.status != Status::NoPageTable) fail("mapping by an own table");
            const CapAddr table =
                make(ObjectType::PageTable,
                     abi::table_size_arg(abi::TableKind::Host, static_cast<unsigned>(r.r0)));
            const uint64_t span = uint64_t{1} << (12 + 9 * r.r0);
            require(sys::table_map(cap::kOwnVSpace, table, *address & ~(span - 1)),
                    "mapping a table of the chunk");
        }
        addresses_.push_back(*address);
    }

    void spawn() {
        abi::SpawnRequest request{};
        std::strcpy(request.template_name, "vmm");
        std::strcpy(request.name, "victim");
        request.tag = tag();
        request.vcpus = 1;
        request.weight = abi::kWeightDefault;
        require(spawner_.begin(request), "Begin");
        const CapAddr chunks[] = {child()};
        require(spawner_.memory(chunks), "Memory");
        try_everything();  // handed over, not yet built
        require(spawner_.finish(), "Finish");
    }
    uint64_t tag() const { return 500 + round_; }

    CapAddr control_endpoint() {
        auto control = spawner_.control(tag());
        if (!control) fail("the victim has no control endpoint");
        control_ = std::move(*control);
        return control_.address();
    }

    void intact(CapAddr control, const char* when) {
        const cap::IpcResult answer = sys::ipc_call(control, {abi::MessageTag{1, 0, 0}, {}});
        if (!answer.ok())
            fail(std::string{"the victim does not answer "} + when + ": " + cap::describe(answer.status));
        if (answer.w[0] != 1) fail(std::string{"the victim's memory was changed "} + when);
        victim_bytes_ = answer.w[1];
        if (victim_bytes_ < (uint64_t{1} << kChunkBits) / 4)
            fail("the victim has filled only " + std::to_string(victim_bytes_) +
                 " bytes of its memory, too few to prove anything");
    }

    void look_at_old_addresses() {
        for (const uint64_t address : addresses_)
            for (uint64_t offset = 0; offset < abi::kPageSize * 2; offset += 512) {
                uint64_t word = 0;
                if (ring::load_index(reinterpret_cast<const void*>(address + offset % abi::kPageSize), word))
                    fail("an old mapping still reads, and finds " + std::to_string(word));
            }
    }

    // Nothing of what was made of the chunk may be good for anything.
    void try_everything() {
        for (unsigned n = 1; n < things_; ++n) {
            if (sys::cap_identify(at(n)).ok())
                fail("slot " + std::to_string(n) + " of what was kept still holds something");
            try_one(at(n));
        }
        for (uint32_t n = 0; n < 4; ++n) try_one(CapAddr{inner_, n});
        // The parent is for killing. It has no room, it cannot be copied, narrowed or mapped.
        const CapAddr spare = at(kSlots - 1);
        for (unsigned bits = 12; bits <= kChunkBits; ++bits)
            refused(sys::retype(parent(), ObjectType::Untyped, bits, spare), "a retype of the parent");
        for (const unsigned bits : {12u, 21u})
            refused(sys::retype(parent(), ObjectType::Frame, bits, spare), "a frame of the parent");
        refused(sys::frame_mint(spare, parent(), rights::kAll, 0, 12), "a frame minted of the parent");
        refused(sys::cap_copy(spare, parent(), rights::kAll), "a copy of the parent");
        refused(sys::frame_map(cap::kOwnVSpace, parent(), 0x1234'0000'0000, map::kRead).status,
                "a mapping of the parent");
    }

    void try_one(CapAddr slot) {
        const CapAddr spare = at(kSlots - 1);
        refused(sys::cap_copy(spare, slot, rights::kAll), "CapCopy");
        refused(sys::cap_mint(spare, slot, rights::kAll, 1), "CapMint");
        refused(sys::cap_move(spare, slot), "CapMove");
        refused(sys::frame_mint(spare, slot, rights::kAll, 0, 12), "FrameMint");
        refused(sys::retype(slot, ObjectType::Frame, 12, spare), "Retype");
        refused(sys::untyped_info(slot).status, "UntypedInfo");
        refused(sys::frame_map(cap::kOwnVSpace, slot, 0x1234'0000'0000, map::kRead | map::kWrite).status,
                "FrameMap");
        refused(sys::table_map(cap::kOwnVSpace, slot, 0x1234'0000'0000), "TableMap");
        refused(sys::unmap(slot).status, "Unmap");
        refused(sys::thread_read(slot), "ThreadRead");
        refused(sys::thread_suspend(slot), "ThreadSuspend");
        refused(sys::thread_start(slot, 0x1000, 0, 0, 0, 0), "ThreadStart");
        refused(sys::thread_set(slot, abi::ThreadSlot::VSpace, cap::kOwnVSpace), "ThreadSet");
        refused(sys::thread_set(cap::kMainThread, abi::ThreadSlot::FaultEndpoint, slot),
                "ThreadSet of an endpoint");
        refused(sys::signal(slot), "Signal");
        refused(sys::wait(slot, abi::kDeadlinePoll).status, "Wait");
        refused(sys::ipc_recv(slot, slot, abi::kDeadlinePoll).status, "IpcRecv");
        refused(sys::ipc_call(slot, {}).status, "IpcCall");
        refused(sys::sched_read(slot).status, "SchedRead");
        refused(sys::cap_revoke(slot), "CapRevoke");
        refused(sys::cap_delete(slot), "CapDelete");
    }

    void refused(Status status, const char* what) {
        ++operations_;
        if (status == Status::Ok) fail(std::string{what} + " on what was handed over succeeded");
    }

    // Its right. What comes back is zero.
    void kill() {
        require(sys::cap_revoke(parent()), "killing the victim");
        spawner_.forget(tag());
        control_ = {};
        const CapAddr frame = at(2);
        for (unsigned n = 0; n < 1u << (kChunkBits - abi::kLargePageBits); ++n) {
            require(sys::retype(parent(), ObjectType::Frame, abi::kLargePageBits, frame),
                    "a frame of the memory that came back");
            {
                const auto mapping = env_.mapper.map(frame, abi::kLargePageBits, map::kRead);
                if (!mapping) fail("mapping what came back");
                const auto* words = reinterpret_cast<const uint64_t*>(mapping->data());
                for (size_t i = 0; i < mapping->bytes() / 8; ++i)
                    if (words[i] != 0) fail("the victim's memory came back with its contents");
            }
            require(sys::cap_move(at(3 + n), frame), "keeping the frame");
        }
        require(sys::cap_revoke(parent()), "giving the chunk back");
        require(sys::cap_delete(parent()), "deleting the parent");
        mappings_.clear();
        addresses_.clear();
    }

    cap::Environment& env_;
    dom0::Spawner spawner_;
    const uint32_t kept_;
    uint32_t slots_[kSlots] = {};
    unsigned things_ = 2, round_ = 0;
    uint32_t inner_ = 0;
    std::vector<cap::Mapping> mappings_;
    std::vector<uint64_t> addresses_;
    cap::Cap<cap::Endpoint> control_;
    uint64_t operations_ = 0, victim_bytes_ = 0;
};

}  // namespace
}  // namespace bulkhead::attack

int main() {
    using namespace bulkhead;
    const abi::StartInfo* start = cap::start_info();
    if (!start) return 1;
    static cap::Environment env{*start};
    if (!ring::register_peer_access()) attack::fail("its fix-up range is refused");
    static attack::Dom0 dom0{env};
    dom0.run();
    for (;;) cap::drop(cap::sys::wait(cap::CapAddr{}, abi::kDeadlineNever));
}
