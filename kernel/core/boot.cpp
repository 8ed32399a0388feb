// SPDX-License-Identifier: Apache-2.0
#include "kernel/core/boot.hpp"

#include "kernel/core/kernel.hpp"
#include "kernel/core/log.hpp"

namespace bulkhead::core::boot {

namespace {

using abi::BootInfo;
using abi::MemoryRange;
using abi::MemoryType;
using abi::RootInfo;
namespace root = abi::root;

constexpr uint64_t kLowMemoryEnd = 1 << 20;  // left to the start of other CPUs and to firmware
constexpr uint64_t kFourGiB = uint64_t{1} << 32;
constexpr uint32_t kMaxUntypeds = sizeof(RootInfo::untyped) / sizeof(RootInfo::untyped[0]);
constexpr uint32_t kFirstBootSlot = root::kFirstUntyped + kMaxUntypeds;  // frames and tables of the root task
constexpr unsigned kRootPriority = 63;
constexpr unsigned kLargestUntyped = 47;

const BootInfo* info;
uint64_t next_free, free_end;  // physical; what map_page() and the root objects are taken from
uint32_t next_slot;
CNode* cnode;
Thread* thread;
PageTable* vspace;
RootInfo* root_info;  // the root task's copy, kernel's view
uint32_t untypeds;

constexpr uint64_t page_up(uint64_t v) {
    return (v + abi::kPageSize - 1) & ~(abi::kPageSize - 1);
}

void require(bool ok, const char* what) {
    if (!ok) arch::panic(what);
}

uint64_t allocate(uint64_t bytes, uint64_t align) {
    const uint64_t at = (next_free + align - 1) & ~(align - 1);
    require(at + bytes <= free_end, "There is too little memory to start the root task.");
    next_free = at + bytes;
    __builtin_memset(arch::phys_to_virt(PhysAddr{at}), 0, bytes);
    return at;
}

Slot& slot_at(uint32_t index) {
    Slot& slot = cnode->slot[index];
    require(index < (1u << abi::kRootCNodeBits) && slot.empty(),
            "The root task has too many pages for its capability table.");
    slot.home = index << 8;
    return slot;
}

Slot& add_memory(uint32_t index, ObjectType type, uint64_t physical, unsigned size_bits, bool device) {
    Slot& slot = cap_create(slot_at(index), nullptr, type, nullptr);
    slot.object = physical;
    slot.size_bits = static_cast<uint8_t>(size_bits);
    slot.flags = device ? kSlotDevice : 0;
    return slot;
}

template <typename T>
T* add_object(uint32_t index, ObjectType type, uint64_t offset = 0) {
    const uint64_t bytes = object_bytes(type, 0);
    T* object = reinterpret_cast<T*>(
        static_cast<char*>(arch::phys_to_virt(PhysAddr{allocate(bytes, abi::kPageSize)})) + offset);
    object_init(object->header, type, bytes, abi::kRootTag);
    cap_create(slot_at(index), nullptr, type, &object->header);
    return object;
}

PageTable* add_table(uint32_t index, unsigned level) {
    PageTable* table = add_object<PageTable>(index, ObjectType::PageTable, abi::kPageSize);
    table->kind = TableKind::Host;
    table->level = static_cast<uint8_t>(level);
    if (level == 4) arch::init_host_root(table->entries());
    return table;
}

// The naturally aligned powers of two of a range, as (base, bits).
template <typename F>
void each_piece(uint64_t base, uint64_t end, F&& f) {
    while (base < end) {
        unsigned bits = abi::kPageBits;
        while (bits < kLargestUntyped && (base & ((uint64_t{2} << bits) - 1)) == 0 &&
               (uint64_t{2} << bits) <= end - base)
            ++bits;
        f(base, bits);
        base += uint64_t{1} << bits;
    }
}

bool add_untyped(uint64_t base, unsigned bits, bool device, unsigned module) {
    if (untypeds == kMaxUntypeds) return false;
    add_memory(root::kFirstUntyped + untypeds, ObjectType::Untyped, base, bits, device);
    root_info->untyped[untypeds++] = {.physical = device ? base : 0,
                                      .size_bits = static_cast<uint8_t>(bits),
                                      .device = device ? uint8_t{1} : uint8_t{0},
                                      .module = static_cast<uint8_t>(module),
                                      .reserved = {}};
    return true;
}

// Of all pieces of the ranges that `visit` shows, the largest: in a map of many holes the table has no room
// for every page. At most `limit` Untypeds in all. Returns the bytes that are left out.
template <typename Visit>
uint64_t add_largest(Visit&& visit, bool device, uint32_t limit) {
    uint64_t left_out = 0;
    for (unsigned size = kLargestUntyped; size >= abi::kPageBits; --size)
        visit([&](uint64_t from, uint64_t to) {
            each_piece(from, to, [&](uint64_t base, unsigned bits) {
                if (bits == size && (untypeds >= limit || !add_untyped(base, bits, device, 0)))
                    left_out += uint64_t{1} << bits;
            });
        });
    return left_out;
}

// What is left out of the device memory below: interrupt controllers, which stay the kernel's (a domain that
// could write them could reset CPUs), and devices that get Untypeds of exactly their size.
struct Range {
    uint64_t base, end;
};
constexpr unsigned kMaxHoles = 1 + 8 + 3;
Range holes[kMaxHoles];
unsigned hole_count;

bool overlaps(const Range& a, uint64_t base, uint64_t end) {
    return a.base < end && base < a.end;
}

template <typename F>
void each_device_range(uint64_t base, uint64_t end, F&& f) {
    while (base < end) {
        Range next{end, end};
        for (unsigned i = 0; i < hole_count; ++i)
            if (holes[i].end > base && holes[i].base < next.base) next = holes[i];
        if (next.base > base) f(base, next.base);
        base = next.end;
    }
}

// A device that boot code found where the memory map may say "reserved" or nothing at all. Refused if any of
// it is memory, an interrupt controller, or below 1 MiB outside of the VGA window.
void add_device(uint64_t base, uint64_t bytes) {
    constexpr Range kVga{0xa0000, 0xc0000};
    constexpr uint64_t kTop = uint64_t{1} << 52;
    if (bytes == 0 || base >= kTop || bytes > kTop - base) return;
    const Range device{base & ~(abi::kPageSize - 1), page_up(base + bytes)};
    if (device.base < kLowMemoryEnd && (device.base < kVga.base || device.end > kVga.end)) return;
    for (unsigned i = 0; i < hole_count; ++i)
        if (overlaps(holes[i], device.base, device.end)) return;
    for (uint32_t i = 0; i < info->ranges; ++i) {
        const MemoryRange& r = info->range[i];
        if (r.type != MemoryType::Reserved && r.type != MemoryType::Mmio &&
            overlaps(device, r.base, r.base + r.size))
            return;
    }
    holes[hole_count++] = device;
    each_piece(device.base, device.end,
               [](uint64_t at, unsigned bits) { (void)add_untyped(at, bits, true, 0); });
}

void add_controllers() {
    const auto keep = [](uint64_t address) {
        const uint64_t page = address & ~(abi::kPageSize - 1);
        holes[hole_count++] = {page, page + abi::kPageSize};
    };
    hole_count = 0;
    keep(info->lapic_base);
    for (uint32_t i = 0; i < info->ioapics && i < 8; ++i) keep(info->ioapic[i].address);
}

// MMIO: what firmware says is MMIO, and below 4 GiB also what it says nothing about.
template <typename F>
void each_device_range(F&& f) {
    uint64_t covered = kLowMemoryEnd;
    for (uint32_t i = 0; i < info->ranges; ++i) {
        const MemoryRange& r = info->range[i];
        if (r.base > covered && covered < kFourGiB)
            each_device_range(covered, r.base < kFourGiB ? r.base : kFourGiB, f);
        if (r.type == MemoryType::Mmio && r.base >= kLowMemoryEnd)
            each_device_range(r.base, r.base + r.size, f);
        if (r.base + r.size > covered) covered = page_up(r.base + r.size);
    }
    if (covered < kFourGiB) each_device_range(covered, kFourGiB, f);
}

bool usable(const MemoryRange& r) {
    return r.type == MemoryType::Free && r.base + r.size > kLowMemoryEnd;
}

void choose_reserve() {
    for (uint32_t i = 0; i < info->ranges; ++i) {
        const MemoryRange& r = info->range[i];
        if (!usable(r) || r.size <= free_end - next_free) continue;
        next_free = page_up(r.base < kLowMemoryEnd ? kLowMemoryEnd : r.base);
        free_end = (r.base + r.size) & ~(abi::kPageSize - 1);
    }
    require(free_end != 0, "The firmware reports no free memory.");
}

// What the kernel did not take of it.
template <typename F>
void each_free_range(F&& f) {
    for (uint32_t i = 0; i < info->ranges; ++i) {
        const MemoryRange& r = info->range[i];
        if (!usable(r)) continue;
        const uint64_t base = page_up(r.base < kLowMemoryEnd ? kLowMemoryEnd : r.base);
        const uint64_t end = (r.base + r.size) & ~(abi::kPageSize - 1);
        f(end == free_end ? page_up(next_free) : base, end);
    }
}

void bind(abi::ThreadSlot which, uint32_t index) {
    Slot& slot = thread->slot[static_cast<size_t>(which)];
    slot.home = (static_cast<uint32_t>(which) << 8) | static_cast<uint32_t>(SlotHome::Thread);
    cap_derive(slot, cnode->slot[index], rights::kAll);
}

void add_controls() {
    cap_create(slot_at(root::kLog), nullptr, ObjectType::Log, nullptr);
    cap_create(slot_at(root::kSchedControl), nullptr, ObjectType::SchedControl, nullptr);
    cap_create(slot_at(root::kTagControl), nullptr, ObjectType::TagControl, nullptr);
    cap_create(slot_at(root::kIrqControl), nullptr, ObjectType::IrqControl, nullptr);
    cap_create(slot_at(root::kInspect), nullptr, ObjectType::Inspect, nullptr);
    cap_create(slot_at(root::kIoPorts), nullptr, ObjectType::IoPort, nullptr).object = uint64_t{0x10000}
                                                                                       << 16;
}

void fill_kernel_info(const Machine& m, abi::KernelInfo& k) {
    k = m.kernel_info;
    k.abi_version = abi::kAbiVersion;
    k.cpus = m.cpus;
    k.tsc_khz = m.tsc_khz;
    for (unsigned type = 0; type < abi::kObjectTypes; ++type) {
        const ObjectType t = static_cast<ObjectType>(type);
        k.object_bytes[type] = t == ObjectType::CNode                               ? sizeof(CNode)
                               : t == ObjectType::Untyped || t == ObjectType::Frame ? 0
                                                                                    : object_bytes(t, 0);
    }
    k.total_memory = 0;
    for (uint32_t i = 0; i < info->ranges; ++i) {
        const MemoryType type = info->range[i].type;
        if (type != MemoryType::Reserved && type != MemoryType::Mmio && type != MemoryType::Bad)
            k.total_memory += info->range[i].size;
    }
}

void map_at(Slot& frame, uint64_t address, uint64_t flags) {
    for (;;) {
        uint64_t missing = 0;
        const Status status = frame_map(*vspace, frame, address, flags, &missing);
        if (status == Status::Ok) return;
        require(status == Status::NoPageTable, "A page of the root task cannot be mapped.");
        const uint32_t index = next_slot++;
        (void)add_table(index, static_cast<unsigned>(missing));
        const uint64_t span = uint64_t{1} << (12 + 9 * missing);
        uint64_t above = 0;
        require(table_map(*vspace, cnode->slot[index], address & ~(span - 1), &above) == Status::Ok,
                "A page table of the root task cannot be mapped.");
    }
}

}  // namespace

void setup(const Machine& m) {
    sys = System{};
    info = m.info;
    next_free = free_end = 0;
    untypeds = 0;
    root_info = nullptr;
    sys.here = m.cpu[0];
    sys.cpus = m.cpus;
    for (uint32_t i = 0; i < m.cpus; ++i) {
        sys.cpu[i] = m.cpu[i];
        sys.cpu[i]->id = i;
        sys.cpu[i]->timer_at = abi::kDeadlineNever;
    }
    sys.tsc_khz = m.tsc_khz;
    sys.secret = m.secret >> 13;  // with a page number added it is exact in a double, as in JSON
    sys.features = m.kernel_info.features;
    sys.gsi_limit = static_cast<uint32_t>(m.fault_gsi_limit < kMaxIrqs ? m.fault_gsi_limit : kMaxIrqs);
    choose_reserve();

    const uint64_t bytes = object_bytes(ObjectType::CNode, abi::kRootCNodeBits);
    cnode = static_cast<CNode*>(arch::phys_to_virt(PhysAddr{allocate(bytes, abi::kPageSize)}));
    object_init(cnode->header, ObjectType::CNode, bytes, abi::kRootTag);
    cnode->header.size_bits = abi::kRootCNodeBits;
    container_list_add(cnode->header);
    cap_create(slot_at(root::kCNode), nullptr, ObjectType::CNode, &cnode->header).size_bits =
        abi::kRootCNodeBits;
    next_slot = kFirstBootSlot;

    vspace = add_table(root::kVSpace, 4);
    thread = add_object<Thread>(root::kThread, ObjectType::Thread);
    container_list_add(thread->header);
    arch::fpu_init(thread->fpu());
    SchedContext* sched = add_object<SchedContext>(root::kSchedContext, ObjectType::SchedContext);
    sched->weight = abi::kWeightDefault;
    sched->priority = kRootPriority;
    sched->quantum = sched->slice_left = us_to_ticks(5000);
    sched->configured = 1;
    add_controls();

    bind(abi::ThreadSlot::CSpace, root::kCNode);
    bind(abi::ThreadSlot::VSpace, root::kVSpace);
    bind(abi::ThreadSlot::SchedContext, root::kSchedContext);
    thread->cspace = cnode->slot;
    thread->cspace_mask = (uint64_t{1} << abi::kRootCNodeBits) - 1;
    thread->root = vspace;
    thread->has_root = 1;
    set_sched(*thread, sched);

    static_assert(sizeof(abi::KernelInfo) <= abi::kPageSize);
    Slot& page = add_memory(root::kKernelInfo, ObjectType::Frame, allocate(abi::kPageSize, abi::kPageSize),
                            abi::kPageBits, false);
    page.rights = rights::kRead | rights::kDerive;
    fill_kernel_info(m, *static_cast<abi::KernelInfo*>(arch::phys_to_virt(PhysAddr{page.object})));
}

void* map_page(uint64_t address, uint64_t flags) {
    Slot& frame = add_memory(next_slot++, ObjectType::Frame, allocate(abi::kPageSize, abi::kPageSize),
                             abi::kPageBits, false);
    map_at(frame, address, flags);
    return arch::phys_to_virt(PhysAddr{frame.object});
}

void map_kernel_info(uint64_t address) {
    map_at(cnode->slot[root::kKernelInfo], address, abi::map::kRead);
}

uint64_t map_root_info(uint64_t address) {
    const uint64_t bytes = page_up(sizeof(RootInfo));
    const uint64_t physical = allocate(bytes, abi::kPageSize);
    for (uint64_t offset = 0; offset < bytes; offset += abi::kPageSize) {
        map_at(add_memory(next_slot++, ObjectType::Frame, physical + offset, abi::kPageBits, false),
               address + offset, abi::map::kRead);
    }
    root_info = static_cast<RootInfo*>(arch::phys_to_virt(PhysAddr{physical}));
    return bytes;
}

void map_ipc_buffer(uint64_t address) {
    Slot& frame = add_memory(root::kIpcBuffer, ObjectType::Frame, allocate(abi::kPageSize, abi::kPageSize),
                             abi::kPageBits, false);
    map_at(frame, address, abi::map::kRead | abi::map::kWrite);
    bind(abi::ThreadSlot::IpcBuffer, root::kIpcBuffer);
    thread->buffer = static_cast<abi::IpcBuffer*>(arch::phys_to_virt(PhysAddr{frame.object}));
}

uint32_t add_runtime_cnode(unsigned bits) {
    const uint64_t bytes = object_bytes(ObjectType::CNode, bits);
    auto* table = static_cast<CNode*>(arch::phys_to_virt(PhysAddr{allocate(bytes, abi::kPageSize)}));
    object_init(table->header, ObjectType::CNode, bytes, abi::kRootTag);
    table->header.size_bits = static_cast<uint8_t>(bits);
    container_list_add(table->header);
    cap_create(slot_at(next_slot), nullptr, ObjectType::CNode, &table->header).size_bits =
        static_cast<uint8_t>(bits);
    return next_slot++;
}

uint32_t add_runtime_untyped(unsigned bits) {
    add_memory(next_slot, ObjectType::Untyped, allocate(uint64_t{1} << bits, uint64_t{1} << bits), bits,
               false);
    return next_slot++;
}

abi::SlotRange free_slots() {
    return {next_slot, (1u << abi::kRootCNodeBits) - next_slot};
}

void start(uint64_t rip, uint64_t rsp, uint64_t rdi) {
    require(root_info != nullptr, "map_root_info() was not called.");
    root_info->boot = *info;
    for (uint32_t i = 0; i < info->modules && i < 16; ++i) {
        const abi::BootModule& m = info->module[i];
        each_piece(m.base & ~(abi::kPageSize - 1), page_up(m.base + m.size),
                   [&](uint64_t base, unsigned bits) {
                       require(add_untyped(base, bits, true, i + 1), "There are too many boot modules.");
                   });
    }
    add_controllers();
    add_device(info->framebuffer.base, uint64_t{info->framebuffer.pitch} * info->framebuffer.height);
    if (info->acpi.hpet != 0) add_device(info->acpi.hpet, abi::kPageSize);
    if (info->acpi.intel_rcba != 0) add_device(info->acpi.intel_rcba + abi::kRcbaControlPage, abi::kPageSize);
    add_largest([](auto&& f) { each_device_range(f); }, true, kMaxUntypeds / 2);
    const uint64_t left_out = add_largest([](auto&& f) { each_free_range(f); }, false, kMaxUntypeds);
    if (left_out != 0)
        LogLine{abi::kRootTag}
            .text("kernel: memory is in too many pieces; of the smallest ones are unused: KiB ")
            .number(left_out >> 10)
            .end(abi::LogLevel::Warning);
    root_info->untypeds = untypeds;
    root_info->first_free_slot = next_slot;
    thread->user.rip = rip;
    thread->user.rsp = rsp;
    thread->user.rdi = rdi;
    thread->user.rflags = 0x202;
    make_ready(*thread);
}

}  // namespace bulkhead::core::boot
