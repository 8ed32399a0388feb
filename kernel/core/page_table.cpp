// SPDX-License-Identifier: Apache-2.0
// Mapping of Frames and PageTables. One entry format serves host tables and SVM's nested tables (APM vol.
// 2, 5.3 and 15.25.5); `Format` is all that knows it. Lower tables and frames are found only through entries
// that core wrote itself.
#include "kernel/core/kernel.hpp"

namespace bulkhead::core {

namespace {

namespace map = abi::map;

struct Format {
    static constexpr uint64_t kPresent = 1, kWrite = 2, kUser = 4, kPwt = 8, kPcd = 16, kLarge = 128,
                              kNoExecute = uint64_t{1} << 63;
    static constexpr uint64_t kAddress = 0x000f'ffff'ffff'f000;

    // Nested walks are user accesses (APM 15.25.5), so U is set everywhere.
    static uint64_t table(PhysAddr at) { return at.raw | kPresent | kWrite | kUser; }
    static uint64_t leaf(uint64_t physical, uint64_t flags, bool large) {
        uint64_t e = physical | kPresent | kUser;
        if ((flags & map::kWrite) != 0) e |= kWrite;
        if ((flags & map::kExecute) == 0) e |= kNoExecute;
        if ((flags & map::kUncached) != 0) e |= kPcd | kPwt;
        if ((flags & map::kWriteCombining) != 0) e |= kPwt;  // PAT entry 1, see arch.hpp
        return large ? e | kLarge : e;
    }
    static bool present(uint64_t e) { return (e & kPresent) != 0; }
    static bool is_table(uint64_t e) { return (e & (kPresent | kLarge)) == kPresent; }
};

constexpr unsigned kRootLevel = 4;
constexpr uint64_t kGuestEnd = uint64_t{1} << 48;

constexpr unsigned shift_of(unsigned level) {
    return 12 + 9 * (level - 1);
}
unsigned index_at(uint64_t address, unsigned level) {
    return static_cast<unsigned>((address >> shift_of(level)) & 511);
}

PageTable* table_at(uint64_t physical) {
    return reinterpret_cast<PageTable*>(static_cast<char*>(arch::phys_to_virt(PhysAddr{physical})) + 4096);
}

void set_back(PageTable& table, unsigned index, const Slot* slot) {
    const uint64_t unit = slot != nullptr ? arch::virt_to_phys(slot).raw >> 6 : 0;
    table.back_low[index] = static_cast<uint32_t>(unit);
    table.back_high[index] = static_cast<uint8_t>(unit >> 32);
}

Slot* get_back(const PageTable& table, unsigned index) {
    const uint64_t unit = table.back_low[index] | (uint64_t{table.back_high[index]} << 32);
    return unit != 0 ? static_cast<Slot*>(arch::phys_to_virt(PhysAddr{unit << 6})) : nullptr;
}

// The table of `level` on the way to `address`; nullptr: missing, and *missing_level names the level of the
// table that is needed, or 0 when a large frame is in the way.
PageTable* walk(PageTable& root, uint64_t address, unsigned level, uint64_t* missing_level) {
    PageTable* table = &root;
    for (unsigned l = kRootLevel; l > level; --l) {
        const uint64_t e = table->entries()[index_at(address, l)];
        if (!Format::is_table(e)) {
            *missing_level = Format::present(e) ? 0 : l - 1;
            return nullptr;
        }
        table = table_at(e & Format::kAddress);
    }
    return table;
}

bool fits(const PageTable& root, uint64_t address, uint64_t bytes) {
    const uint64_t end = root.kind == TableKind::Host ? abi::kUserEnd : kGuestEnd;
    return address < end && bytes <= end - address;
}

struct Shape {
    unsigned level, entries;
};
// A frame occupies one entry of level 2 or 3, or a naturally aligned run of level-1 entries.
Shape shape_of(unsigned size_bits) {
    if (size_bits == abi::kHugePageBits) return {3, 1};
    if (size_bits == abi::kLargePageBits) return {2, 1};
    return {1, 1u << (size_bits - abi::kPageBits)};
}

PageTable* root_of(PageTable& table) {
    PageTable* t = &table;
    while (t->parent != nullptr) t = t->parent;  // three steps at most
    return t->level == kRootLevel ? t : nullptr;
}

// Addresses below `table`, from entry `index` on, may be cached.
void note_stale(PageTable& table, unsigned index, uint64_t bytes) {
    PageTable* root = root_of(table);
    if (root != nullptr)
        sys.tlb.add(*root, table.address + (uint64_t{index} << shift_of(table.level)), bytes);
}

}  // namespace

Status frame_map(PageTable& root, Slot& frame, uint64_t address, uint64_t flags, uint64_t* missing_level) {
    const uint64_t bytes = uint64_t{1} << frame.size_bits;
    if ((address & (bytes - 1)) != 0 || !fits(root, address, bytes)) return Status::BadArgument;
    if ((flags & ~uint64_t{31}) != 0 || (flags & map::kRead) == 0) return Status::BadArgument;
    if (root.kind == TableKind::Host && (flags & map::kWrite) != 0 && (flags & map::kExecute) != 0)
        return Status::BadArgument;
    static_assert(map::kRead == rights::kRead && map::kWrite == rights::kWrite &&
                  map::kExecute == rights::kExecute);
    const uint64_t access = flags & (map::kRead | map::kWrite | map::kExecute);
    if ((access & ~uint64_t{frame.rights}) != 0) return Status::NoRights;
    if (frame.mapping != 0) return Status::AlreadyMapped;
    if (frame.size_bits == abi::kHugePageBits && (sys.features & abi::kFeatureHugeGuestPages) == 0)
        return Status::Unsupported;

    const Shape shape = shape_of(frame.size_bits);
    PageTable* table = walk(root, address, shape.level, missing_level);
    if (table == nullptr) return *missing_level == 0 ? Status::AlreadyMapped : Status::NoPageTable;
    const unsigned index = index_at(address, shape.level);
    uint64_t* entry = table->entries() + index;
    for (unsigned i = 0; i < shape.entries; ++i) {
        if (Format::present(entry[i])) return Status::AlreadyMapped;
    }
    for (unsigned i = 0; i < shape.entries; ++i) {
        entry[i] = Format::leaf(frame.object + uint64_t{i} * abi::kPageSize, flags, shape.level > 1);
    }
    set_back(*table, index, &frame);
    table->used = static_cast<uint16_t>(table->used + shape.entries);
    frame.mapping = table->physical().raw | index;
    if ((flags & map::kWrite) != 0) frame.flags |= kSlotMapWrite;
    if ((flags & map::kExecute) != 0) frame.flags |= kSlotMapExec;
    return Status::Ok;
}

void frame_unmap(Slot& frame) {
    PageTable& table = *table_at(frame.mapping & ~uint64_t{0xfff});
    const unsigned index = static_cast<unsigned>(frame.mapping & 0xfff);
    const Shape shape = shape_of(frame.size_bits);
    for (unsigned i = 0; i < shape.entries; ++i) table.entries()[index + i] = 0;
    set_back(table, index, nullptr);
    table.used = static_cast<uint16_t>(table.used - shape.entries);
    frame.mapping = 0;
    frame.flags &= static_cast<uint8_t>(~(kSlotMapWrite | kSlotMapExec));
    note_stale(table, index, uint64_t{1} << frame.size_bits);
}

Status table_map(PageTable& root, Slot& slot, uint64_t address, uint64_t* missing_level) {
    PageTable& table = *slot.as<PageTable>();
    if (table.kind != root.kind || table.level >= kRootLevel || table.level == 0) return Status::BadArgument;
    const uint64_t span = uint64_t{1} << shift_of(table.level + 1u);
    // Any address that the table is to translate will do. The last table reaches beyond the end of user
    // space; frames there are refused.
    if (!fits(root, address, 1)) return Status::BadArgument;
    address &= ~(span - 1);
    if (table.parent != nullptr) return Status::AlreadyMapped;
    PageTable* parent = walk(root, address, table.level + 1u, missing_level);
    if (parent == nullptr) return *missing_level == 0 ? Status::AlreadyMapped : Status::NoPageTable;
    const unsigned index = index_at(address, table.level + 1u);
    if (Format::present(parent->entries()[index])) return Status::AlreadyMapped;
    parent->entries()[index] = Format::table(table.physical());
    set_back(*parent, index, &slot);
    ++parent->used;
    table.parent = parent;
    table.parent_index = static_cast<uint16_t>(index);
    table.address = address;
    slot.mapping = parent->physical().raw | index;
    return Status::Ok;
}

void table_unmap(Slot& slot) {
    PageTable& table = *slot.as<PageTable>();
    PageTable& parent = *table.parent;
    const unsigned index = table.parent_index;
    parent.entries()[index] = 0;
    set_back(parent, index, nullptr);
    --parent.used;
    note_stale(parent, index, uint64_t{1} << shift_of(parent.level));
    table.parent = nullptr;
    slot.mapping = 0;
}

const PageTable& table_that_maps(const Slot& mapped) {
    return *table_at(mapped.mapping & ~uint64_t{0xfff});
}

void mapping_moved(Slot& now_here) {
    set_back(*table_at(now_here.mapping & ~uint64_t{0xfff}), static_cast<unsigned>(now_here.mapping & 0xfff),
             &now_here);
}

// The last capability is gone, so the table itself is not mapped any more; what is mapped in it becomes
// unmapped.
void page_table_destroy(PageTable& table) {
    for (unsigned i = 0; i < 512; ++i) {
        Slot* slot = get_back(table, i);
        if (slot == nullptr) continue;
        slot->mapping = 0;
        slot->flags &= static_cast<uint8_t>(~(kSlotMapWrite | kSlotMapExec));
        if (slot->type == ObjectType::PageTable) slot->as<PageTable>()->parent = nullptr;
    }
    if (table.level == kRootLevel) {
        sys.tlb.discharge();
        arch::tlb_shootdown(table, 0, 0);
    }
}

uint64_t translate(PageTable& root, uint64_t address, bool write) {
    if (!fits(root, address, 1)) return 0;
    PageTable* table = &root;
    for (unsigned level = kRootLevel;; --level) {
        const uint64_t e = table->entries()[index_at(address, level)];
        if (!Format::present(e) || (e & Format::kUser) == 0) return 0;
        if (level == 1 || (e & Format::kLarge) != 0) {
            if (write && (e & Format::kWrite) == 0) return 0;
            unsigned first =
                index_at(address, level);  // of the frame's run: the kernel must not touch device memory
            while (first != 0 && get_back(*table, first) == nullptr) --first;
            const Slot* frame = get_back(*table, first);
            if (frame == nullptr || frame->device()) return 0;
            const uint64_t offset = address & ((uint64_t{1} << shift_of(level)) - 1);
            return (e & Format::kAddress & ~((uint64_t{1} << shift_of(level)) - 1)) | offset;
        }
        table = table_at(e & Format::kAddress);
    }
}

namespace {

Result<PageTable*> lookup_root(const Thread& t, uint64_t address) {
    const auto slot = lookup(t, CapAddr{address}, ObjectType::PageTable, rights::kControl);
    if (!slot) return slot.status();
    PageTable* root = slot->as<PageTable>();
    return root->level == kRootLevel ? Result<PageTable*>{root} : Result<PageTable*>{Status::BadArgument};
}

}  // namespace

Status sys_table_map(Cpu&, Thread& t, UserContext& u) {
    const auto root = lookup_root(t, u.rdi);
    if (!root) return root.status();
    const auto table = lookup(t, CapAddr{u.rsi}, ObjectType::PageTable, rights::kControl);
    if (!table) return table.status();
    uint64_t missing = 0;
    const Status status = table_map(**root, **table, u.rdx, &missing);
    if (status == Status::NoPageTable) u.rdx = missing;
    return status;
}

Status sys_frame_map(Cpu&, Thread& t, UserContext& u) {
    const auto root = lookup_root(t, u.rdi);
    if (!root) return root.status();
    const uint64_t count = u.r8;
    if (count > (uint64_t{1} << 32)) return Status::BadArgument;
    Status status = Status::Ok;
    uint64_t missing = 0, address = u.rdx;
    uint64_t done = 0;
    unsigned size_bits = 0;
    if (t.progress != 0 && t.progress <= count) {  // restarted: all frames are of the first one's size
        const auto first = lookup(t, CapAddr{u.rsi}, ObjectType::Frame, 0);
        if (first) {
            done = t.progress;
            size_bits = first->size_bits;
            address += done << size_bits;
        }
    }
    for (; done < count; ++done) {
        const auto frame = lookup(t, CapAddr{u.rsi}.plus(static_cast<uint32_t>(done)), ObjectType::Frame, 0);
        status = frame.status();
        if (frame && size_bits != 0 && frame->size_bits != size_bits) status = Status::BadArgument;
        if (status == Status::Ok) status = frame_map(**root, **frame, address, u.r10, &missing);
        if (status != Status::Ok) break;
        size_bits = frame->size_bits;
        address += uint64_t{1} << size_bits;
        if (done + 1 < count && arch::preemption_pending()) {
            t.progress = done + 1;
            return Status::Restart;
        }
    }
    const bool no_table = status == Status::NoPageTable;
    u.rdx = no_table ? missing : done;
    u.r10 = no_table ? done : 0;
    return status;
}

Status sys_unmap(Cpu&, Thread& t, UserContext& u) {
    const uint64_t count = u.rsi;
    if (count > (uint64_t{1} << 32)) return Status::BadArgument;
    uint64_t done = t.progress <= count ? t.progress : 0;
    Status status = Status::Ok;
    for (; done < count; ++done) {
        const auto slot = lookup_any(t, CapAddr{u.rdi}.plus(static_cast<uint32_t>(done)));
        status = slot.status();
        if (status == Status::Ok) {
            Slot& s = **slot;
            if (s.type != ObjectType::Frame && s.type != ObjectType::PageTable) {
                status = Status::WrongType;
            } else if (s.mapping == 0) {
                status = Status::NotMapped;
            } else if (s.type == ObjectType::Frame) {
                frame_unmap(s);
            } else {
                table_unmap(s);
            }
        }
        if (status != Status::Ok) break;
        if (done + 1 < count && arch::preemption_pending()) {
            t.progress = done + 1;
            return Status::Restart;
        }
    }
    u.rdx = done;
    return status;
}

}  // namespace bulkhead::core
