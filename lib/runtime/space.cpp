// SPDX-License-Identifier: Apache-2.0
// The program's address space: mmap, munmap, mprotect, mremap, madvise, brk.
//
// PROT_NONE only reserves. Memory is committed when it becomes accessible, as granules (frames.hpp), and
// given back when it is unmapped. The program's own image and stack were mapped by the loader: calls on them
// succeed without effect, but for mprotect of the image's first writable pages (StartInfo::image_frames),
// where RELRO lies.
//
//      window.base         + 2 GiB                    + 8 GiB           half of the window
//     | brk               | mmap                     |                 | the personality's own
#include <initializer_list>

#include "lib/runtime/frames.hpp"

namespace bulkhead::runtime {

namespace {

constexpr uint64_t kPage = abi::kPageSize;
constexpr uint64_t kBrkBytes = 2ull << 30, kSpaceBytes = 8ull << 30;
constexpr uint64_t kBrkStep = 64 * 1024;  // brk grows by small steps: fewer, larger granules
// 1 MiB: a granule of 2 MiB would be mapped without a leaf table, and giving back a part of it would need
// memory first.
constexpr unsigned kMaxOrder = 8;

// One word per page; 0: not committed. All pages of a granule have the granule's word.
struct Entry {
    uint16_t slot;
    uint16_t chunk;
    uint16_t page;  // of the granule's start in its chunk
    uint8_t order;
    uint8_t access;  // 0: kept but unmapped
};
static_assert(sizeof(Entry) == 8);
constexpr unsigned kLeafBits = 14;
constexpr uint64_t kLeafEntries = (1u << kLeafBits) / sizeof(Entry);

struct Extent {  // free addresses of the mmap area, in pages from the window's base
    uint64_t start, pages;
    Extent* next;
};

struct Space {
    uint64_t base;
    Entry* leaf[kSpaceBytes / kPage / kLeafEntries];
    Extent* free;
    Extent* spare;
    uint64_t brk_now, brk_committed;
};
constinit Space space{};

uint64_t round_up(uint64_t v, uint64_t to) {
    return (v + to - 1) & ~(to - 1);
}

Entry* entry_of(uint64_t page, bool make) {
    Entry*& leaf = space.leaf[page / kLeafEntries];
    if (!leaf && make) leaf = static_cast<Entry*>(allocate_metadata(kLeafBits));
    return leaf ? leaf + page % kLeafEntries : nullptr;
}

bool committed(uint64_t page) {
    const Entry* e = entry_of(page, false);
    return e && e->slot;
}

Granule granule_of(const Entry& e) {
    return {CapAddr{state.start->runtime_cnode, e.slot}, e.chunk, e.page, e.order};
}

uint64_t address_of(uint64_t page) {
    return space.base + page * kPage;
}

void set_entries(uint64_t page, const Granule& g, uint8_t access) {
    for (uint64_t i = 0; i < uint64_t{1} << g.order; ++i)
        *entry_of(page + i, true) = {static_cast<uint16_t>(g.slot.slot()), g.chunk, g.page, g.order, access};
}

void clear_entries(uint64_t page, unsigned order) {
    for (uint64_t i = 0; i < uint64_t{1} << order; ++i) *entry_of(page + i, false) = {};
}

// ---- granules of the address space -----------------------------------------------------------------------

// Where the granule that covers `page` begins.
uint64_t granule_start(uint64_t page, const Entry& e) {
    return page & ~((uint64_t{1} << e.order) - 1);
}

bool commit_one(uint64_t page, unsigned order, uint8_t access) {
    // Both ends' leaves first: nothing is taken that cannot be entered.
    if (!entry_of(page, true) || !entry_of(page + (uint64_t{1} << order) - 1, true)) return false;
    Granule g;
    bool dirty = false;
    if (!take_granule(order, g, dirty)) return false;
    const uint64_t address = address_of(page);
    const uint8_t first = dirty ? abi::map::kRead | abi::map::kWrite : access;
    if (map_frame(g.slot, address, first) != Status::Ok) {
        give_granule(g);
        return false;
    }
    if (dirty) zero_words(reinterpret_cast<void*>(address), kPage << order);
    if (dirty && access != first) {
        cap::drop(sys::unmap(g.slot));
        cap::drop(map_frame(g.slot, address, access));
    }
    set_entries(page, g, access);
    return true;
}

// The granule at `page` becomes two of half its size, with the same contents. False: no slots; nothing
// changed. Its leaf table is there (kMaxOrder), so mapping the halves needs no memory.
bool split(uint64_t page) {
    const Entry whole = *entry_of(page, false);
    const Granule g = granule_of(whole);
    Granule half[2] = {g, g};
    const uint64_t pages = uint64_t{1} << (g.order - 1);
    half[1].page = static_cast<uint16_t>(g.page + pages);
    half[0].order = half[1].order = static_cast<uint8_t>(g.order - 1);
    if (!mint_granule(half[0])) return false;
    if (!mint_granule(half[1])) {
        delete_granule_cap(half[0]);
        return false;
    }
    delete_granule_cap(g);  // unmaps it
    for (unsigned i = 0; i < 2; ++i) {
        const uint64_t at = page + i * pages;
        if (whole.access) cap::drop(map_frame(half[i].slot, address_of(at), whole.access));
        set_entries(at, half[i], whole.access);
    }
    return true;
}

// Calls visit(start page, entry) for every granule that touches [page, page + pages), after splitting those
// that stick out.
template <typename Visit>
bool for_granules(uint64_t page, uint64_t pages, Visit visit) {
    const uint64_t end = page + pages;
    while (page < end) {
        const Entry* e = entry_of(page, false);
        if (!e) {
            page = (page / kLeafEntries + 1) * kLeafEntries;
            continue;
        }
        if (!e->slot) {
            ++page;
            continue;
        }
        const uint64_t start = granule_start(page, *e), stop = start + (uint64_t{1} << e->order);
        if (start < page || stop > end) {
            if (!split(start)) return false;
            continue;
        }
        visit(start, *e);
        page = stop;
    }
    return true;
}

bool uncommit(uint64_t page, uint64_t pages) {
    return for_granules(page, pages, [](uint64_t start, const Entry& e) {
        const Granule g = granule_of(e);
        clear_entries(start, g.order);
        give_granule(g);
    });
}

// Everything in the range becomes accessible; what is there keeps its contents.
bool commit(uint64_t page, uint64_t pages, uint8_t access) {
    const uint64_t end = page + pages;
    for (uint64_t at = page; at < end;) {
        if (committed(at)) {
            ++at;
            continue;
        }
        uint64_t run = 1;
        while (at + run < end && run < uint64_t{1} << kMaxOrder && !committed(at + run)) ++run;
        unsigned order = at ? static_cast<unsigned>(__builtin_ctzll(at)) : kMaxOrder;
        const unsigned fits = 63 - static_cast<unsigned>(__builtin_clzll(run));
        if (order > fits) order = fits;
        if (order > kMaxOrder) order = kMaxOrder;
        while (!commit_one(at, order, access))
            if (order-- == 0) return false;
        at += uint64_t{1} << order;
    }
    return true;
}

bool protect(uint64_t page, uint64_t pages, uint8_t access) {
    return for_granules(page, pages, [&](uint64_t start, Entry e) {
        if (e.access == access) return;
        const Granule g = granule_of(e);
        if (e.access) cap::drop(sys::unmap(g.slot));
        if (access) cap::drop(map_frame(g.slot, address_of(start), access));
        set_entries(start, g, access);
    });
}

// ---- free addresses --------------------------------------------------------------------------------------

Extent* new_extent() {
    if (!space.spare) {
        auto* page = static_cast<Extent*>(allocate_metadata(abi::kPageBits));
        if (!page) return nullptr;
        for (unsigned i = 0; i < kPage / sizeof(Extent); ++i) {
            page[i].next = space.spare;
            space.spare = &page[i];
        }
    }
    Extent* e = space.spare;
    space.spare = e->next;
    return e;
}

void drop_extent(Extent** link) {
    Extent* e = *link;
    *link = e->next;
    e->next = space.spare;
    space.spare = e;
}

// Adds [start, start + pages), merging with whatever it touches or overlaps (unmapping twice is no error).
bool free_addresses(uint64_t start, uint64_t pages) {
    Extent** link = &space.free;
    while (*link && (*link)->start + (*link)->pages < start) link = &(*link)->next;
    uint64_t end = start + pages;
    while (*link && (*link)->start <= end) {
        if ((*link)->start < start) start = (*link)->start;
        if ((*link)->start + (*link)->pages > end) end = (*link)->start + (*link)->pages;
        drop_extent(link);
    }
    Extent* e = new_extent();
    if (!e) return false;
    *e = {start, end - start, *link};
    *link = e;
    return true;
}

// Cuts [start, start + pages) out of what is free.
bool claim_addresses(uint64_t start, uint64_t pages) {
    const uint64_t end = start + pages;
    for (Extent** link = &space.free; *link;) {
        Extent& e = **link;
        const uint64_t e_end = e.start + e.pages;
        if (e_end <= start || e.start >= end) {
            link = &e.next;
            continue;
        }
        if (e.start < start && e_end > end) {
            Extent* tail = new_extent();
            if (!tail) return false;
            *tail = {end, e_end - end, e.next};
            e.pages = start - e.start;
            e.next = tail;
            return true;
        }
        if (e.start < start)
            e.pages = start - e.start;
        else if (e_end > end) {
            e.start = end;
            e.pages = e_end - end;
        } else {
            drop_extent(link);
            continue;
        }
        link = &e.next;
    }
    return true;
}

// First fit, aligned as far as it helps to use large granules. 0: none (page 0 belongs to brk).
uint64_t find_addresses(uint64_t pages) {
    const unsigned log = 63 - static_cast<unsigned>(__builtin_clzll(pages));
    for (uint64_t alignment : {uint64_t{1} << (log > kMaxOrder ? kMaxOrder : log), uint64_t{1}})
        for (const Extent* e = space.free; e; e = e->next) {
            const uint64_t start = round_up(e->start, alignment);
            if (start - e->start < e->pages && e->pages - (start - e->start) >= pages) return start;
        }
    return 0;
}

// What part of the runtime's window is this? False: none, it is the loader's.
bool in_space(uint64_t address, uint64_t bytes, uint64_t& page, uint64_t& pages) {
    if (address % kPage || bytes == 0 || bytes > kSpaceBytes || address < space.base) return false;
    page = (address - space.base) / kPage;
    pages = round_up(bytes, kPage) / kPage;
    return page + pages <= kSpaceBytes / kPage;
}

constexpr uint64_t kMmapFirst = kBrkBytes / kPage;

enum : uint64_t { kProtRead = 1, kProtWrite = 2, kProtExec = 4, kMapFixed = 0x10, kMapAnonymous = 0x20 };

uint8_t access_of(uint64_t prot) {
    return static_cast<uint8_t>((prot & kProtWrite)  ? abi::map::kRead | abi::map::kWrite
                                : (prot & kProtRead) ? abi::map::kRead
                                                     : 0);
}

}  // namespace

void space_initialise() {
    space.base = state.start->runtime_window.base;
    space.brk_now = space.brk_committed = space.base;
    static Extent first;
    first = {kMmapFirst, (kSpaceBytes - kBrkBytes) / kPage, nullptr};
    space.free = &first;
}

Status map_frame(CapAddr frame, uint64_t address, uint64_t flags) {
    const CapAddr root{0, abi::start::kVSpace};
    for (int levels = 0; levels < 5; ++levels) {
        const cap::Result r = sys::frame_map(root, frame, address, flags);
        if (r.status != Status::NoPageTable) return r.status;
        const CapAddr table =
            create_object(abi::ObjectType::PageTable,
                          abi::table_size_arg(abi::TableKind::Host, static_cast<unsigned>(r.r0)));
        if (table.is_null()) return Status::OutOfMemory;
        const uint64_t span = uint64_t{1} << (12 + 9 * r.r0);  // a table of level 1 covers 2 MiB
        if (const Status status = sys::table_map(root, table, address & ~(span - 1)); status != Status::Ok)
            return status;
    }
    return Status::NoPageTable;
}

// ---- the calls -------------------------------------------------------------------------------------------

extern "C" int64_t call_mmap(uint64_t address, uint64_t bytes, uint64_t prot, uint64_t flags, int64_t fd,
                             uint64_t) {
    if (bytes == 0) return kInvalid;
    if (bytes > kSpaceBytes) return kNoMemory;
    if (!(flags & kMapAnonymous) || static_cast<int32_t>(fd) >= 0) return kNoDevice;
    if (prot & kProtExec) return kAccess;  // W^X: no new code
    const Locked lock{state.memory_lock};
    uint64_t page = 0, pages = round_up(bytes, kPage) / kPage;
    if (flags & kMapFixed) {
        if (!in_space(address, bytes, page, pages) || page < kMmapFirst) return kInvalid;
        if (!uncommit(page, pages)) return kNoMemory;
    } else {
        page = find_addresses(pages);
        if (page == 0) return kNoMemory;
    }
    if (!claim_addresses(page, pages)) return kNoMemory;
    if (prot && !commit(page, pages, access_of(prot))) {
        uncommit(page, pages);
        free_addresses(page, pages);
        return kNoMemory;
    }
    return static_cast<int64_t>(address_of(page));
}

extern "C" int64_t call_munmap(uint64_t address, uint64_t bytes) {
    const Locked lock{state.memory_lock};
    uint64_t page = 0, pages = 0;
    if (!in_space(address, bytes, page, pages) || page < kMmapFirst) return kInvalid;
    if (!uncommit(page, pages)) return kNoMemory;
    return free_addresses(page, pages) ? 0 : int64_t{kNoMemory};
}

// The image's first writable pages: what the loader made read-only after relocation really becomes so. Other
// pages of the image and the main stack stay as they are.
static Status protect_image(uint64_t address, uint64_t bytes, uint8_t access) {
    const uint64_t base = state.start->image_frames_base;
    for (uint32_t i = 0; i < state.start->image_frames.count; ++i) {
        const uint64_t at = base + i * kPage;
        if (at < address || at - address >= bytes) continue;
        const CapAddr frame{state.start->runtime_cnode, state.start->image_frames.first + i};
        cap::drop(sys::unmap(frame));
        if (access == 0) continue;
        if (const Status status = map_frame(frame, at, access); status != Status::Ok) return status;
    }
    return Status::Ok;
}

extern "C" int64_t call_mprotect(uint64_t address, uint64_t bytes, uint64_t prot) {
    if (bytes == 0) return 0;
    if (prot & kProtExec) return kAccess;
    const Locked lock{state.memory_lock};
    uint64_t page = 0, pages = 0;
    const uint8_t access = access_of(prot);
    if (!in_space(address, bytes, page, pages)) {
        if (address % kPage) return kInvalid;
        return protect_image(address, bytes, access) == Status::Ok ? 0 : int64_t{kNoMemory};
    }
    if (!protect(page, pages, access)) return kNoMemory;
    return access == 0 || commit(page, pages, access) ? 0 : int64_t{kNoMemory};
}

extern "C" int64_t call_mremap(uint64_t address, uint64_t old_bytes, uint64_t new_bytes, uint64_t, uint64_t,
                               uint64_t) {
    const uint64_t from = round_up(old_bytes, kPage), to = round_up(new_bytes, kPage);
    if (to == 0 || to > from) return kNoMemory;  // glibc then copies
    if (to < from) {
        if (const int64_t error = call_munmap(address + to, from - to)) return error;
    }
    return static_cast<int64_t>(address);
}

extern "C" int64_t call_madvise(uint64_t address, uint64_t bytes, uint64_t advice) {
    constexpr uint64_t kDontNeed = 4;
    if (advice != kDontNeed) return 0;
    const Locked lock{state.memory_lock};
    uint64_t page = 0, pages = 0;
    if (!in_space(address, bytes, page, pages)) return kInvalid;
    for (uint64_t p = page; p < page + pages; ++p) {
        const Entry* e = entry_of(p, false);
        if (e && e->slot && (e->access & abi::map::kWrite))
            zero_words(reinterpret_cast<void*>(address_of(p)), kPage);
    }
    return 0;
}

extern "C" int64_t call_brk(uint64_t wanted) {
    const Locked lock{state.memory_lock};
    if (wanted < space.base || wanted > space.base + kBrkBytes) return static_cast<int64_t>(space.brk_now);
    const uint64_t end = round_up(wanted, kBrkStep);
    const uint64_t first = (space.brk_committed - space.base) / kPage, last = (end - space.base) / kPage;
    if (end > space.brk_committed) {
        constexpr uint8_t access = abi::map::kRead | abi::map::kWrite;
        if (!commit(first, last - first, access)) {
            uncommit(first, last - first);
            return static_cast<int64_t>(space.brk_now);
        }
        space.brk_committed = end;
    } else if (end < space.brk_committed && uncommit(last, first - last)) {
        space.brk_committed = end;
    }
    if (wanted < space.brk_now) {  // growing again gives zeroes
        const uint64_t top = space.brk_now < space.brk_committed ? space.brk_now : space.brk_committed;
        uint64_t at = wanted;
        for (; at % 8 && at < top; ++at) *reinterpret_cast<volatile char*>(at) = 0;
        if (at < top) zero_words(reinterpret_cast<void*>(at), round_up(top - at, 8));
    }
    space.brk_now = wanted;
    return static_cast<int64_t>(wanted);
}

}  // namespace bulkhead::runtime
