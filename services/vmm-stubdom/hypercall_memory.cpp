// SPDX-License-Identifier: Apache-2.0
// memory_op and grant_table_op.
#include <algorithm>

#include "services/vmm-stubdom/hypercalls.hpp"
#include "services/vmm-stubdom/loader/guest_layout.hpp"
#include "services/vmm-stubdom/vm.hpp"
#include "services/vmm-stubdom/xen_abi.hpp"

namespace bulkhead::vmm {

namespace {

constexpr uint32_t kCommandMask = 0x3f;  // above: where a preempted call goes on, which here never happens
bool self(const Vm& vm, uint16_t domain) {
    return domain == DOMID_SELF || domain == vm.config().domid;
}

int64_t add_to_physmap(HypercallContext& c) {
    xen_add_to_physmap_t a{};
    if (!c.get(c.arg[1], a)) return -XEN_EFAULT;
    if (!self(c.vm, a.domid)) return -XEN_ESRCH;
    switch (a.space) {
        case XENMAPSPACE_shared_info: return a.idx == 0 ? c.vm.map_shared_info(Gfn{a.gpfn}) : -XEN_EINVAL;
        case XENMAPSPACE_grant_table:
            if (a.idx & XENMAPIDX_grant_table_status) return -XEN_EINVAL;  // version 2 only
            return a.idx < GrantTable::kMaxFrames
                       ? c.vm.map_grant_frame(static_cast<unsigned>(a.idx), Gfn{a.gpfn})
                       : -XEN_EINVAL;
        default: return -XEN_ENOSYS;
    }
}

int64_t memory_map(HypercallContext& c) {
    struct [[gnu::packed]] E820Entry {
        uint64_t base, size;
        uint32_t type;
    };
    static_assert(sizeof(E820Entry) == 20);
    xenabi::MemoryMap m{};
    if (!c.get(c.arg[1], m)) return -XEN_EFAULT;
    const GuestLayout layout{c.vm.config().ram_bytes};
    const auto entries = layout.map();
    if (m.buffer != 0) {
        if (m.nr_entries < entries.size()) return -XEN_EINVAL;
        uint64_t at = m.buffer;
        for (const MemoryMapEntry& e : entries) {
            if (!c.put(at, E820Entry{e.base, e.size, e.type})) return -XEN_EFAULT;
            at += sizeof(E820Entry);
        }
    }
    m.nr_entries = static_cast<uint32_t>(entries.size());
    return c.put(c.arg[1], m) ? 0 : -XEN_EFAULT;
}

int64_t ram_pages(const Vm& vm) {
    return static_cast<int64_t>(vm.config().ram_bytes >> kGuestPageShift);
}

int64_t query_size(HypercallContext& c) {
    gnttab_query_size_t q{};
    if (!c.get(c.arg[1], q)) return -XEN_EFAULT;
    q.nr_frames = std::max(1u, c.vm.grants().frames());
    q.max_nr_frames = GrantTable::kMaxFrames;
    q.status = self(c.vm, q.dom) ? GNTST_okay : GNTST_permission_denied;
    return c.put(c.arg[1], q) ? 0 : -XEN_EFAULT;
}

int64_t set_version(HypercallContext& c) {
    gnttab_set_version_t v{};
    if (!c.get(c.arg[1], v)) return -XEN_EFAULT;
    const bool known = v.version == 1;
    v.version = 1;
    if (!c.put(c.arg[1], v)) return -XEN_EFAULT;
    return known ? 0 : -XEN_ENOSYS;
}

int64_t get_version(HypercallContext& c) {
    gnttab_get_version_t v{};
    if (!c.get(c.arg[1], v)) return -XEN_EFAULT;
    v.version = 1;
    return c.put(c.arg[1], v) ? 0 : -XEN_EFAULT;
}

}  // namespace

int64_t memory_op(HypercallContext& c) {
    switch (static_cast<uint32_t>(c.arg[0]) & kCommandMask) {
        case XENMEM_add_to_physmap: return add_to_physmap(c);
        case XENMEM_memory_map: return memory_map(c);
        // The balloon: zero extents done. The guest keeps what it has, and asks again when its target
        // changes.
        case XENMEM_increase_reservation:
        case XENMEM_decrease_reservation:
        case XENMEM_populate_physmap: return 0;
        case XENMEM_maximum_ram_page:
        case XENMEM_maximum_gpfn:
            return static_cast<int64_t>((GuestLayout{c.vm.config().ram_bytes}.high_top() >> kGuestPageShift) -
                                        1);
        case XENMEM_current_reservation:
        case XENMEM_maximum_reservation: return ram_pages(c.vm);
        case XENMEM_machine_memory_map:
        case XENMEM_set_memory_map: return -XEN_EPERM;
        default: return -XEN_ENOSYS;
    }
}

int64_t grant_table_op(HypercallContext& c) {
    // One structure a call is all that a frontend makes.
    if (static_cast<uint32_t>(c.arg[2]) != 1) return c.arg[2] == 0 ? 0 : -XEN_ENOSYS;
    switch (static_cast<uint32_t>(c.arg[0])) {
        case GNTTABOP_query_size: return query_size(c);
        case GNTTABOP_set_version: return set_version(c);
        case GNTTABOP_get_version: return get_version(c);
        default: return -XEN_ENOSYS;
    }
}

}  // namespace bulkhead::vmm
