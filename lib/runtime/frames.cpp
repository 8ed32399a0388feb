// SPDX-License-Identifier: Apache-2.0
#include "lib/runtime/frames.hpp"

namespace bulkhead::runtime {

namespace {

constexpr unsigned kMaxOrder = 9;  // 2 MiB
constexpr uint32_t kMaxSlots = 1u << 14;

struct Chunk {
    CapAddr frame;
    uint64_t used[8], dirty[8];  // one bit per page
    uint16_t pages, free;
};
constexpr unsigned kChunksPerBlock = abi::kPageSize / sizeof(Chunk);
constexpr unsigned kMaxBlocks = 128;  // 3584 chunks, 7 GiB

struct Frames {
    Chunk first_block[4];
    Chunk* block[kMaxBlocks];
    uint32_t chunks;
    CapAddr objects;               // Untyped for kernel objects
    CapAddr slab;                  // see break_slab()
    unsigned slab_next, slab_end;  // size in bits of its next chunk; of itself
    uint64_t slot_bits[kMaxSlots / 64];
    uint32_t slots, slots_used, slot_hint;
    uint64_t held, committed;
    uint64_t metadata_next;  // address
};
constinit Frames frames{};

Chunk& chunk_at(uint32_t index) {
    if (index < 4) return frames.first_block[index];
    return frames.block[(index - 4) / kChunksPerBlock][(index - 4) % kChunksPerBlock];
}

// Retypes from the domain's Untypeds, first fit.
Status retype_any(abi::ObjectType type, unsigned bits, CapAddr slot) {
    const uint32_t count = state.start->runtime_untyped.count;
    for (uint32_t i = 0; i < count; ++i) {
        const CapAddr untyped{0, state.start->runtime_untyped.first + i};
        const Status status = sys::retype(untyped, type, bits, slot);
        if (status != Status::OutOfMemory) return status;
    }
    return Status::OutOfMemory;
}

// Books for the next chunk. Asked for while the newest chunk has room, so that a page for them is always
// there.
bool prepare_books() {
    if (frames.chunks < 4) return true;
    const uint32_t block = (frames.chunks - 4) / kChunksPerBlock;
    if (block >= kMaxBlocks) return false;
    if (!frames.block[block]) frames.block[block] = static_cast<Chunk*>(allocate_metadata(abi::kPageBits));
    return frames.block[block] != nullptr;
}

bool make_chunk(CapAddr from, unsigned bits) {
    if (frames.chunks >= 4 && !frames.block[(frames.chunks - 4) / kChunksPerBlock]) return false;
    const CapAddr slot = allocate_slot();
    if (slot.is_null()) return false;
    const Status status = from.is_null() ? retype_any(abi::ObjectType::Frame, bits, slot)
                                         : sys::retype(from, abi::ObjectType::Frame, bits, slot);
    if (status != Status::Ok) {
        free_slot(slot);
        return false;
    }
    Chunk& chunk = chunk_at(frames.chunks++);
    chunk.frame = slot;
    chunk.pages = chunk.free = static_cast<uint16_t>(1u << (bits - abi::kPageBits));
    frames.held += uint64_t{1} << bits;
    prepare_books();  // if it fails, the next make_chunk() does
    return true;
}

// Chunks of at least 2^order pages: first what is left of the slab, then of 2 MiB or whatever is there.
bool add_chunk(unsigned order) {
    const unsigned least = abi::kPageBits + order;
    while (frames.slab_next < frames.slab_end) {
        const unsigned bits = frames.slab_next++;
        if (!make_chunk(frames.slab, bits)) return false;
        if (bits >= least) return true;
    }
    for (unsigned bits = abi::kLargePageBits; bits >= least; --bits)
        if (make_chunk(CapAddr{}, bits)) return true;
    return false;
}

// A free, naturally aligned run; -1: none.
int find_run(const Chunk& chunk, unsigned order) {
    const unsigned pages = 1u << order;
    if (chunk.free < pages) return -1;
    if (order >= 6) {
        for (unsigned w = 0; w * 64 + pages <= chunk.pages; w += pages / 64) {
            uint64_t any = 0;
            for (unsigned i = 0; i < pages / 64; ++i) any |= chunk.used[w + i];
            if (any == 0) return static_cast<int>(w * 64);
        }
        return -1;
    }
    const uint64_t mask = (uint64_t{1} << pages) - 1;
    for (unsigned p = 0; p < chunk.pages; p += pages)
        if (((chunk.used[p / 64] >> (p % 64)) & mask) == 0) return static_cast<int>(p);
    return -1;
}

bool mark(Chunk& chunk, unsigned page, unsigned pages, bool used) {
    bool dirty = false;
    for (unsigned p = page; p < page + pages; ++p) {
        const uint64_t bit = uint64_t{1} << (p % 64);
        dirty |= (chunk.dirty[p / 64] & bit) != 0;
        chunk.used[p / 64] = used ? chunk.used[p / 64] | bit : chunk.used[p / 64] & ~bit;
        chunk.dirty[p / 64] |= bit;
    }
    chunk.free = static_cast<uint16_t>(used ? chunk.free - pages : chunk.free + pages);
    return dirty;
}

}  // namespace

// ---- slots -----------------------------------------------------------------------------------------------

CapAddr allocate_slot() {
    const uint32_t words = (frames.slots + 63) / 64;
    for (uint32_t i = 0; i < words; ++i) {
        const uint32_t w = (frames.slot_hint + i) % words;
        if (~frames.slot_bits[w] == 0) continue;
        const uint32_t bit = static_cast<uint32_t>(__builtin_ctzll(~frames.slot_bits[w]));
        if (w * 64 + bit >= frames.slots) continue;
        frames.slot_bits[w] |= uint64_t{1} << bit;
        frames.slot_hint = w;
        ++frames.slots_used;
        return CapAddr{state.start->runtime_cnode, w * 64 + bit};
    }
    return CapAddr{};
}

void free_slot(CapAddr slot) {
    frames.slot_bits[slot.slot() / 64] &= ~(uint64_t{1} << (slot.slot() % 64));
    --frames.slots_used;
}

// ---- objects ---------------------------------------------------------------------------------------------

// An Untyped gives out memory upwards and aligned: whoever takes small and large pieces in turn loses what
// lies between. So everything is taken by 2 MiB, and when objects need room, one such *slab* becomes a
// sixteenth for objects and chunks that double:
//
//      0      1/16   1/8     1/4            1/2                            1
//     | objects | chunk | chunk | chunk      | chunk                       |
static bool break_slab() {
    const CapAddr slab = allocate_slot(), pool = allocate_slot();
    if (!slab.is_null() && !pool.is_null()) {
        for (unsigned bits = abi::kLargePageBits; bits >= abi::kPageBits + 4; --bits) {
            if (retype_any(abi::ObjectType::Untyped, bits, slab) != Status::Ok) continue;
            if (sys::retype(slab, abi::ObjectType::Untyped, bits - 4, pool) != Status::Ok) break;
            frames.objects = pool;
            frames.slab = slab;
            frames.slab_next = bits - 4;
            frames.slab_end = bits;
            frames.held += uint64_t{1} << (bits - 4);
            return true;
        }
    }
    if (!pool.is_null()) free_slot(pool);
    if (!slab.is_null()) free_slot(slab);
    return false;
}

CapAddr create_object(abi::ObjectType type, uint64_t size) {
    const CapAddr slot = allocate_slot();
    if (slot.is_null()) return slot;
    for (int attempt = 0; attempt < 3; ++attempt) {
        if (!frames.objects.is_null() && sys::retype(frames.objects, type, size, slot) == Status::Ok)
            return slot;
        // What is left of the former slab becomes chunks (whose books may need objects, and so a new slab,
        // themselves).
        while (frames.slab_next < frames.slab_end && make_chunk(frames.slab, frames.slab_next++)) {
        }
        if (!frames.objects.is_null() && sys::retype(frames.objects, type, size, slot) == Status::Ok)
            return slot;
        if (!break_slab()) break;
    }
    free_slot(slot);
    return CapAddr{};
}

// One bit of a Notification to wait for and to signal. An unbadged capability would signal nothing.
CapAddr create_notification() {
    const CapAddr plain = create_object(abi::ObjectType::Notification, 0);
    const CapAddr badged = allocate_slot();
    if (plain.is_null() || badged.is_null()) return CapAddr{};
    if (sys::cap_mint(badged, plain, abi::rights::kRead | abi::rights::kWrite, 1) != Status::Ok)
        return CapAddr{};
    cap::drop(sys::cap_delete(plain));  // the badged one keeps the object alive
    free_slot(plain);
    return badged;
}

// ---- granules --------------------------------------------------------------------------------------------

bool mint_granule(Granule& granule) {
    granule.slot = allocate_slot();
    if (granule.slot.is_null()) return false;
    constexpr uint8_t rights = abi::rights::kRead | abi::rights::kWrite | abi::rights::kDerive;
    if (sys::frame_mint(granule.slot, chunk_at(granule.chunk).frame, rights,
                        uint64_t{granule.page} << abi::kPageBits,
                        abi::kPageBits + granule.order) == Status::Ok)
        return true;
    free_slot(granule.slot);
    return false;
}

void delete_granule_cap(const Granule& granule) {
    cap::drop(sys::cap_delete(granule.slot));
    free_slot(granule.slot);
}

bool take_granule(unsigned order, Granule& out, bool& dirty) {
    if (order > kMaxOrder) return false;
    for (int attempt = 0; attempt < 3; ++attempt) {
        for (uint32_t i = 0; i < frames.chunks; ++i) {
            Chunk& chunk = chunk_at(i);
            const int page = find_run(chunk, order);
            if (page < 0) continue;
            out = {CapAddr{}, static_cast<uint16_t>(i), static_cast<uint16_t>(page),
                   static_cast<uint8_t>(order)};
            if (!mint_granule(out)) return false;
            dirty = mark(chunk, out.page, 1u << order, true);
            frames.committed += abi::kPageSize << order;
            return true;
        }
        if (!add_chunk(order)) return false;
    }
    return false;
}

void give_granule(const Granule& granule) {
    delete_granule_cap(granule);
    mark(chunk_at(granule.chunk), granule.page, 1u << granule.order, false);
    frames.committed -= abi::kPageSize << granule.order;
}

// ---- the personality's own memory ------------------------------------------------------------------------

void* allocate_metadata(unsigned bits, CapAddr* frame) {
    Granule granule;
    bool dirty = false;
    if (!take_granule(bits - static_cast<unsigned>(abi::kPageBits), granule, dirty)) return nullptr;
    const uint64_t bytes = uint64_t{1} << bits;
    const uint64_t address = (frames.metadata_next + bytes - 1) & ~(bytes - 1);
    if (map_frame(granule.slot, address, abi::map::kRead | abi::map::kWrite) != Status::Ok) {
        give_granule(granule);
        return nullptr;
    }
    frames.metadata_next = address + bytes;
    void* at = reinterpret_cast<void*>(address);
    if (dirty) zero_words(at, bytes);
    if (frame) *frame = granule.slot;
    return at;
}

bool frames_initialise() {
    const uint64_t slots = uint64_t{1} << state.start->runtime_cnode_bits;
    frames.slots = static_cast<uint32_t>(slots < kMaxSlots ? slots : kMaxSlots);
    const abi::SlotRange image = state.start->image_frames;  // they are in slots 1.. already
    frames.slots_used = image.count ? image.first + image.count : 1;
    if (frames.slots_used + 64 > frames.slots) return false;
    for (uint32_t i = 0; i < frames.slots_used; ++i)
        frames.slot_bits[i / 64] |= uint64_t{1} << (i % 64);  // slot 0 stays empty
    frames.metadata_next = state.start->runtime_window.base + state.start->runtime_window.size / 2;
    return state.start->runtime_untyped.count > 0 && slots >= 64;
}

FrameUse frame_use() {
    return {frames.committed, frames.held, frames.slots_used, frames.slots};
}

}  // namespace bulkhead::runtime
