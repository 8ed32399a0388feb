// SPDX-License-Identifier: Apache-2.0
#include "test/guests/kernel-root/guest.hpp"

namespace bulkhead::kernel_root {

using abi::VcpuState;

constexpr unsigned kRamBits = 16;

Guest make_guest(Resources& r) {
    Guest g{};
    g.vcpu = r.make(abi::ObjectType::Vcpu);
    g.root = r.make(abi::ObjectType::PageTable, abi::table_size_arg(abi::TableKind::Guest, 4));
    g.state_frame = r.make(abi::ObjectType::Frame, abi::kPageBits);
    g.ram = r.make(abi::ObjectType::Frame, kRamBits);
    g.bell = r.make(abi::ObjectType::Notification);
    g.ring = r.slot();
    check(sys::cap_mint(g.ring, g.bell, abi::rights::kWrite, 1) == Status::Ok, "mint the bell");
    g.state = static_cast<VcpuState*>(r.map_here(g.state_frame, 4096));
    g.memory = static_cast<uint8_t*>(r.map_here(g.ram, 1 << kRamBits));
    g.guest_view = r.slot();
    check(sys::cap_copy(g.guest_view, g.ram, abi::rights::kAll) == Status::Ok, "copy the guest's frame");
    r.map_into(g.root, abi::TableKind::Guest, g.guest_view, 0,
               abi::map::kRead | abi::map::kWrite | abi::map::kExecute);
    check(sys::vcpu_set(g.vcpu, abi::VcpuSlot::StatePage, g.state_frame) == Status::Ok, "state page");
    check(sys::vcpu_set(g.vcpu, abi::VcpuSlot::GuestRoot, g.root) == Status::Ok, "guest root");
    check(sys::vcpu_set(g.vcpu, abi::VcpuSlot::BoundNotification, g.bell) == Status::Ok,
          "bound notification");
    return g;
}

void reset_state(VcpuState& s, uint64_t ip) {
    s.rip = ip;
    s.rflags = 2;
    s.cr0 = 0x10;
    s.cr4 = 0;
    s.efer = 0;
    s.pat = 0x0007040600070406;
    const abi::SegmentState data{0, 0x93, 0xffff, 0}, code{0, 0x9b, 0xffff, 0};
    s.es = s.ss = s.ds = s.fs = s.gs = data;
    s.cs = code;
    s.ldtr = {0, 0x82, 0xffff, 0};
    s.tr = {0, 0x8b, 0xffff, 0};
    s.gdtr = s.idtr = {0, 0, 0xffff, 0};
    s.dr6 = 0xffff0ff0;
    s.dr7 = 0x400;
    s.xcr0 = 1;
    s.dirty = VcpuState::kAllGroups;
}

}  // namespace bulkhead::kernel_root
