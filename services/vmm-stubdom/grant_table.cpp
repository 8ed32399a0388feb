// SPDX-License-Identifier: Apache-2.0
#include "services/vmm-stubdom/grant_table.hpp"

#include "services/vmm-stubdom/xen_abi.hpp"

namespace bulkhead::vmm {

struct GrantTable::Entry {
    uint32_t head;  // flags | domid << 16: one word, so that both are checked by one compare-and-swap
    uint32_t frame;
};

namespace {
constexpr unsigned kAttempts = 8;  // a guest that keeps changing the entry is refused, not waited for
}

bool GrantTable::set_frame(unsigned index, std::byte* page) {
    if (index >= kMaxFrames) return false;
    frames_[index].store(page, std::memory_order_release);
    return true;
}

unsigned GrantTable::frames() const {
    for (unsigned i = kMaxFrames; i > 0; --i)
        if (frames_[i - 1].load(std::memory_order_relaxed)) return i;
    return 0;
}

void GrantTable::forget() {
    for (auto& frame : frames_) frame.store(nullptr, std::memory_order_release);
}

GrantTable::Entry* GrantTable::entry(uint32_t reference) const {
    static_assert(sizeof(Entry) == 8);
    std::byte* page = frame(reference / kEntriesPerFrame);
    return page ? reinterpret_cast<Entry*>(page) + reference % kEntriesPerFrame : nullptr;
}

std::optional<GuestPhys> GrantTable::acquire(uint32_t reference, uint16_t domain, bool write) {
    Entry* at = entry(reference);
    if (!at) return std::nullopt;
    for (unsigned attempt = 0; attempt < kAttempts; ++attempt) {
        uint32_t head = __atomic_load_n(&at->head, __ATOMIC_SEQ_CST);
        const uint32_t flags = head & 0xffff;
        if ((flags & GTF_type_mask) != GTF_permit_access || (head >> 16) != domain) return std::nullopt;
        if (write && (flags & GTF_readonly)) return std::nullopt;
        if (__atomic_compare_exchange_n(&at->head, &head,
                                        head | GTF_reading | (write ? unsigned{GTF_writing} : 0u), false,
                                        __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
            return Gfn{__atomic_load_n(&at->frame, __ATOMIC_SEQ_CST)}.address();
    }
    return std::nullopt;
}

void GrantTable::release(uint32_t reference, bool write) {
    if (Entry* at = entry(reference))
        __atomic_fetch_and(&at->head, ~(uint32_t{GTF_reading} | (write ? uint32_t{GTF_writing} : 0u)),
                           __ATOMIC_SEQ_CST);
}

}  // namespace bulkhead::vmm
