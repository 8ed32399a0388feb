// SPDX-License-Identifier: Apache-2.0
// Memory becomes objects here and nowhere else. An Untyped has exactly one capability, so the watermark lives
// in its slot.
//
//   base            badge (watermark)       mapping (known zero up to here)          base + 2^size_bits
//    |  used, or lost to alignment |  zero already  |  old contents                        |
//
// Both go back to 0 when the last child is gone. Contents are zeroed when an object or a Frame is made, not
// when memory is freed: nobody can read it in between.
#include "kernel/core/kernel.hpp"

namespace bulkhead::core {

namespace {

constexpr unsigned kMinUntypedBits = 12, kMaxUntypedBits = 47;
constexpr unsigned kMaxCNodeBits = 18;
constexpr uint64_t kMaxCount = 1 << 14;  // their slots are looked at in one go

bool frame_size_ok(uint64_t bits) {
    return (bits >= abi::kPageBits && bits <= abi::kLargePageBits) || bits == abi::kHugePageBits;
}

Status check_request(const Slot& untyped, ObjectType type, uint64_t size) {
    switch (type) {
        case ObjectType::Untyped:
            return size >= kMinUntypedBits && size <= kMaxUntypedBits ? Status::Ok : Status::BadArgument;
        case ObjectType::Frame: return frame_size_ok(size) ? Status::Ok : Status::BadArgument;
        case ObjectType::CNode:
            if (size < 1 || size > kMaxCNodeBits) return Status::BadArgument;
            break;
        case ObjectType::PageTable:
            if ((size & 0xff) > static_cast<uint64_t>(TableKind::Guest))
                return (size & 0xff) == static_cast<uint64_t>(TableKind::Device) ? Status::Unsupported
                                                                                 : Status::BadArgument;
            if ((size >> 8) < 1 || (size >> 8) > 4) return Status::BadArgument;
            break;
        case ObjectType::Vcpu:
            if (!arch::vcpu_available()) return Status::Unsupported;
            break;
        case ObjectType::Thread:
        case ObjectType::SchedContext:
        case ObjectType::Endpoint:
        case ObjectType::Reply:
        case ObjectType::Notification: break;
        default: return Status::BadArgument;
    }
    return untyped.device() ? Status::BadArgument
                            : Status::Ok;  // device memory becomes Frames and smaller Untypeds only
}

uint64_t alignment(ObjectType type, uint64_t bytes) {
    if (type == ObjectType::Untyped || type == ObjectType::Frame) return bytes;
    return type == ObjectType::PageTable || type == ObjectType::Vcpu ? abi::kPageSize : 64;
}

constexpr uint64_t align_up(uint64_t value, uint64_t to) {
    return (value + to - 1) & ~(to - 1);
}

// Offset of the next object in the Untyped; one beyond its end when it does not fit.
uint64_t place(const Slot& untyped, uint64_t bytes, uint64_t align) {
    const uint64_t size = uint64_t{1} << untyped.size_bits;
    const uint64_t at = align_up(untyped.object + untyped.badge, align) - untyped.object;
    return at <= size && bytes <= size - at ? at : size;
}

// Zeroes [at, at + bytes) of the Untyped, whole pages at a time where it can. False: an interrupt waits; what
// is done counts.
bool make_zero(Slot& untyped, uint64_t at, uint64_t bytes) {
    if (untyped.mapping < at) {
        untyped.badge = at;  // the gap is lost to alignment: what lies below `mapping` must be zero
        untyped.mapping = at;
    }
    while (untyped.mapping < at + bytes) {
        void* where = arch::phys_to_virt(PhysAddr{untyped.object + untyped.mapping});
        const uint64_t left = abi::kPageSize - (untyped.mapping & (abi::kPageSize - 1));
        if (left == abi::kPageSize) {
            arch::zero_page(where);
        } else {
            __builtin_memset(where, 0, left);  // the rest of a page whose beginning is in use
        }
        untyped.mapping += left;
        if (untyped.mapping < at + bytes && arch::preemption_pending()) return false;
    }
    return true;
}

// Zeroed memory becomes an object.
Object* construct(void* memory, ObjectType type, uint64_t size, uint64_t bytes, uint64_t tag) {
    Object* object = static_cast<Object*>(memory);
    switch (type) {
        case ObjectType::CNode: object->size_bits = static_cast<uint8_t>(size); break;
        case ObjectType::PageTable: {
            PageTable& table = *reinterpret_cast<PageTable*>(static_cast<char*>(memory) + abi::kPageSize);
            object = &table.header;
            table.kind = static_cast<TableKind>(size & 0xff);
            table.level = static_cast<uint8_t>(size >> 8);
            if (table.kind == TableKind::Host && table.level == 4) arch::init_host_root(table.entries());
            break;
        }
        case ObjectType::Thread: {
            Thread& thread = *static_cast<Thread*>(memory);
            object = &thread.header;
            thread.cspace = no_cspace;
            arch::fpu_init(thread.fpu());
            break;
        }
        case ObjectType::Vcpu: arch::vcpu_init(static_cast<Vcpu*>(memory)->area()); break;
        default: break;
    }
    object_init(*object, type, bytes, tag);
    if (type == ObjectType::CNode || type == ObjectType::Thread || type == ObjectType::Vcpu)
        container_list_add(*object);
    return object;
}

}  // namespace

uint64_t object_bytes(ObjectType type, uint64_t size) {
    switch (type) {
        case ObjectType::Untyped:
        case ObjectType::Frame: return uint64_t{1} << size;
        case ObjectType::CNode: return sizeof(CNode) + (sizeof(Slot) << size);
        case ObjectType::PageTable: return 2 * abi::kPageSize;
        case ObjectType::Thread: return align_up(sizeof(Thread) + arch::fpu_bytes(), 64);
        case ObjectType::SchedContext: return sizeof(SchedContext);
        case ObjectType::Endpoint: return sizeof(Endpoint);
        case ObjectType::Reply: return sizeof(Reply);
        case ObjectType::Notification: return sizeof(Notification);
        case ObjectType::Vcpu: return align_up(sizeof(Vcpu) + arch::vcpu_bytes(), abi::kPageSize);
        default: return 0;
    }
}

// One object of `type`, into the empty slot `to`. Ok, OutOfMemory or Restart.
Status retype_one(Slot& untyped, ObjectType type, uint64_t size, Slot& to, uint64_t tag) {
    const uint64_t bytes = object_bytes(type, size);
    const uint64_t at = place(untyped, bytes, alignment(type, bytes));
    if (at == uint64_t{1} << untyped.size_bits) return Status::OutOfMemory;
    const uint64_t physical = untyped.object + at;
    if (type != ObjectType::Untyped && !untyped.device() && !make_zero(untyped, at, bytes))
        return Status::Restart;
    untyped.badge = at + bytes;
    if (type == ObjectType::Untyped || type == ObjectType::Frame) {
        cap_create(to, &untyped, type, nullptr);
        to.object = physical;
        to.size_bits = static_cast<uint8_t>(size);
        to.flags = untyped.flags & kSlotDevice;
        return Status::Ok;
    }
    Object* object = construct(arch::phys_to_virt(PhysAddr{physical}), type, size, bytes, tag);
    cap_create(to, &untyped, type, object);
    if (type == ObjectType::CNode) to.size_bits = static_cast<uint8_t>(size);
    return Status::Ok;
}

namespace {

// Nothing is made unless all of it fits: room for `count` objects, and empty slots for their capabilities.
Status check_room(const Thread& t, const Slot& untyped, ObjectType type, uint64_t size, CapAddr to,
                  uint64_t count) {
    const uint64_t bytes = object_bytes(type, size), total = uint64_t{1} << untyped.size_bits;
    const uint64_t at = place(untyped, bytes, alignment(type, bytes));
    if (at == total || (total - at) / align_up(bytes, alignment(type, bytes)) +
                               ((total - at) % align_up(bytes, alignment(type, bytes)) >= bytes ? 1 : 0) <
                           count)
        return Status::OutOfMemory;
    for (uint32_t i = 0; i < count; ++i) {
        if (const auto slot = lookup_empty(t, to.plus(i)); !slot) return slot.status();
    }
    return Status::Ok;
}

}  // namespace

Status sys_retype(Cpu&, Thread& t, UserContext& u) {
    const auto source = lookup(t, CapAddr{u.rdi}, ObjectType::Untyped, 0);
    if (!source) return source.status();
    Slot& untyped = **source;
    const uint64_t size = u.rdx, count = u.r8;
    if (u.rsi >= abi::kObjectTypes || count == 0 || count > kMaxCount) return Status::BadArgument;
    const ObjectType type = static_cast<ObjectType>(u.rsi);
    if (const Status status = check_request(untyped, type, size); status != Status::Ok) return status;
    if (is_revoking(untyped)) return Status::Revoking;
    const CapAddr to{u.r10};
    uint64_t done = t.progress < count ? t.progress : 0;
    if (done == 0) {
        if (const Status status = check_room(t, untyped, type, size, to, count); status != Status::Ok)
            return status;
    }
    for (; done < count; ++done) {
        const auto slot = lookup_empty(t, to.plus(static_cast<uint32_t>(done)));
        if (!slot) return slot.status();
        const Status status = retype_one(untyped, type, size, **slot, t.header.tag);
        if (status == Status::Restart) {
            t.progress = done;
            return status;
        }
        if (status != Status::Ok) return status;
        if (done + 1 < count && arch::preemption_pending()) {
            t.progress = done + 1;
            return Status::Restart;
        }
    }
    return Status::Ok;
}

Status sys_untyped_info(Cpu&, Thread& t, UserContext& u) {
    const auto slot = lookup(t, CapAddr{u.rdi}, ObjectType::Untyped, 0);
    if (!slot) return slot.status();
    u.rdx = slot->size_bits;
    u.r10 = (uint64_t{1} << slot->size_bits) - slot->badge;
    u.r8 = slot->device() ? 1 : 0;
    u.r9 = slot->device() ? slot->object : 0;
    return Status::Ok;
}

}  // namespace bulkhead::core
