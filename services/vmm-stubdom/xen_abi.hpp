// SPDX-License-Identifier: Apache-2.0
// Xen's public headers, as Debian ships them, included once and in the right way; and the few structures
// whose handles are C pointers there, with the same layout in plain numbers (a guest's pointer is never a
// pointer here).
#pragma once

#include <errno.h>

#include <cstddef>
#include <cstdint>

#ifndef __XEN_TOOLS__
#define __XEN_TOOLS__ 1
#endif
#pragma GCC system_header
#include <xen/errno.h>
#include <xen/event_channel.h>
#include <xen/features.h>
#include <xen/grant_table.h>
#include <xen/hvm/hvm_op.h>
#include <xen/hvm/params.h>
#include <xen/io/console.h>
#include <xen/io/xs_wire.h>
#include <xen/memory.h>
#include <xen/sched.h>
#include <xen/vcpu.h>
#include <xen/version.h>
#include <xen/xen.h>

namespace bulkhead::vmm::xenabi {

static_assert(offsetof(shared_info_t, evtchn_pending) == 0x800 &&
              offsetof(shared_info_t, evtchn_mask) == 0xa00);
static_assert(offsetof(shared_info_t, wc_version) == 0xc00);
static_assert(sizeof(vcpu_info_t) == 64 && offsetof(vcpu_info_t, time) == 32 &&
              offsetof(vcpu_info_t, evtchn_pending_sel) == 8);
static_assert(sizeof(vcpu_time_info_t) == 32);
static_assert(sizeof(grant_entry_v1_t) == 8);

inline constexpr unsigned kPorts = 4096;   // 2-level, 64-bit
inline constexpr unsigned kMaxVcpus = 16;  // of one guest

struct Reservation {  // xen_memory_reservation
    uint64_t extent_start, nr_extents;
    uint32_t extent_order, mem_flags;
    uint16_t domid;
    uint16_t pad[3];
};
static_assert(sizeof(Reservation) == sizeof(xen_memory_reservation_t));

struct MemoryMap {  // xen_memory_map
    uint32_t nr_entries, pad;
    uint64_t buffer;
};
static_assert(sizeof(MemoryMap) == sizeof(xen_memory_map_t));

struct Poll {  // sched_poll
    uint64_t ports;
    uint32_t nr_ports, pad;
    uint64_t timeout;
};
static_assert(sizeof(Poll) == sizeof(sched_poll_t));

struct SetupTable {  // gnttab_setup_table
    uint16_t dom, pad;
    uint32_t nr_frames;
    int16_t status;
    uint16_t pad2[3];
    uint64_t frame_list;
};
static_assert(sizeof(SetupTable) == sizeof(gnttab_setup_table_t));

struct RunstateInfo {  // vcpu_runstate_info
    int32_t state;
    uint32_t pad;
    uint64_t state_entry_time;
    uint64_t time[4];
};
static_assert(sizeof(RunstateInfo) == sizeof(vcpu_runstate_info_t));

}  // namespace bulkhead::vmm::xenabi
