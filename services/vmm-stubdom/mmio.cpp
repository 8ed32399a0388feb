// SPDX-License-Identifier: Apache-2.0
#include "services/vmm-stubdom/mmio.hpp"

#include <cstdio>

#include "services/vmm-stubdom/decoder/decoder.hpp"
#include "services/vmm-stubdom/decoder/mmio_emulator.hpp"
#include "services/vmm-stubdom/vm.hpp"

namespace bulkhead::vmm {

namespace {

using abi::VcpuState;

constexpr uint64_t kLongModeActive = 1 << 10, kFaultWrite = 2, kFaultInTableWalk = uint64_t{1} << 33;
constexpr uint16_t kCodeLong = 1 << 9, kCodeBig = 1 << 10;  // of the packed segment attributes
enum Gpr : unsigned { kRcx = 1, kRdi = 7 };

CpuMode mode_of(Vcpu& vcpu) {
    VcpuState& s = vcpu.state();
    const bool long_mode = (s.efer & kLongModeActive) != 0;
    if (long_mode && s.cpl == 0) return CpuMode::Bits64;  // no kernel runs compatibility mode at ring 0
    if (!(s.valid & VcpuState::kSegments)) vcpu.port().sync();
    if (long_mode && (s.cs.attributes & kCodeLong)) return CpuMode::Bits64;
    return s.cs.attributes & kCodeBig ? CpuMode::Bits32 : CpuMode::Bits16;
}

constexpr uint64_t low_bytes(unsigned bytes) {
    return bytes >= 8 ? ~uint64_t{0} : (uint64_t{1} << (8 * bytes)) - 1;
}

// What answers accesses to anything but RAM.
class Bus {
  public:
    explicit Bus(Vcpu& vcpu) : vcpu_{vcpu} {}

    uint64_t read(GuestPhys address, unsigned bytes) {
        if (!is_lapic(address)) return low_bytes(bytes);
        const uint32_t value = vcpu_.lapic().read(offset(address), vcpu_.port().now_tsc());
        return (value >> (8 * (address.value() & 3))) & low_bytes(bytes);
    }
    void write(GuestPhys address, unsigned bytes, uint64_t value) {
        // Narrow and unaligned writes to the LAPIC are undefined in the manual, and dropped.
        if (is_lapic(address) && bytes >= 4 && address.value() % 16 == 0)
            vcpu_.carry_out(
                vcpu_.lapic().write(offset(address), static_cast<uint32_t>(value), vcpu_.port().now_tsc()));
    }

  private:
    bool is_lapic(GuestPhys address) const {
        return (address.value() & ~uint64_t{0xfff}) == kLapicBase && vcpu_.lapic().xapic();
    }
    static uint32_t offset(GuestPhys address) { return static_cast<uint32_t>(address.value() & 0xff0); }
    Vcpu& vcpu_;
};

uint64_t segment_base(const VcpuState& s, Segment segment, CpuMode mode) {
    switch (segment) {
        case Segment::Fs: return s.fs.base;
        case Segment::Gs: return s.gs.base;
        default: break;
    }
    if (mode == CpuMode::Bits64) return 0;
    switch (segment) {
        case Segment::Es: return s.es.base;
        case Segment::Cs: return s.cs.base;
        case Segment::Ss: return s.ss.base;
        default: return s.ds.base;
    }
}

// One iteration of MOVS between RAM and a device; a repeated one exits again for the next.
// Unsupported: the other side is not RAM that is mapped.
MmioResult move_string(Vm& vm, Vcpu& vcpu, const Instruction& i, CpuMode mode) {
    VcpuState& s = vcpu.state();
    if (!(s.valid & VcpuState::kSegments)) vcpu.port().sync();
    const GuestRegisters registers{s.gpr};
    const uint64_t mask = low_bytes(i.memory.address_size);
    if (i.rep && (s.gpr[kRcx] & mask) == 0) return MmioResult::Done;
    Bus bus{vcpu};
    const PageWalker walker{vm.memory(), {s.cr0, s.cr3, s.cr4, s.efer}};
    const Privilege privilege = s.cpl == 3 ? Privilege::User : Privilege::Supervisor;
    const GuestPhys device{s.guest_physical};
    uint64_t value = 0;
    const auto bytes = std::as_writable_bytes(std::span<uint64_t, 1>{&value, 1}).first(i.memory_size);
    if (s.fault_flags & kFaultWrite) {
        const uint64_t linear =
            segment_base(s, i.memory.segment, mode) + effective_offset(i, registers, s.rip);
        if (walker.copy_in(linear, bytes, Access::Read, privilege) != i.memory_size)
            return MmioResult::Unsupported;
        bus.write(device, i.memory_size, value);
    } else {
        const uint64_t linear = segment_base(s, Segment::Es, mode) + (s.gpr[kRdi] & mask);
        value = bus.read(device, i.memory_size);
        if (walker.copy_out(linear, bytes, privilege) != i.memory_size) return MmioResult::Unsupported;
    }
    return step_string(i, registers, s.rflags) ? MmioResult::Again : MmioResult::Done;
}

MmioExit cannot(const uint8_t* bytes, unsigned count, const VcpuState& s) {
    std::string text = "cannot emulate";
    char part[64];
    for (unsigned n = 0; n < count; ++n) {
        std::snprintf(part, sizeof part, " %02x", bytes[n]);
        text += part;
    }
    std::snprintf(part, sizeof part, " at rip %016llx", static_cast<unsigned long long>(s.rip));
    text += part;
    std::snprintf(part, sizeof part, " (access to %llx)", static_cast<unsigned long long>(s.guest_physical));
    return {MmioExit::Cannot, text + part};
}

bool carry_out(Vm& vm, Vcpu& vcpu, const Instruction& i, CpuMode mode) {
    VcpuState& s = vcpu.state();
    Bus bus{vcpu};
    const MmioResult result =
        i.operation == Operation::Movs
            ? move_string(vm, vcpu, i, mode)
            : emulate_mmio(i, GuestRegisters{s.gpr}, s.rflags, GuestPhys{s.guest_physical}, bus);
    if (result == MmioResult::Done) vcpu.finish_instruction(s.rip + i.length);
    return result != MmioResult::Unsupported;
}

}  // namespace

MmioExit handle_mmio(Vm& vm, Vcpu& vcpu, uint64_t linear_rip) {
    VcpuState& s = vcpu.state();
    const bool in_walk = (s.fault_flags & kFaultInTableWalk) != 0;
    const CpuMode mode = mode_of(vcpu);
    // The kernel's accesses to its LAPIC: a few places, again and again.
    const bool kernel_code = mode == CpuMode::Bits64 && s.cpl == 0;
    if (kernel_code && !in_walk)
        if (const Instruction* known = vcpu.instructions().find_access(s, linear_rip);
            known && carry_out(vm, vcpu, *known, mode))
            return {};

    uint8_t bytes[15];
    const unsigned count = vcpu.instructions().fetch(s, linear_rip, bytes);
    if (in_walk) return cannot(bytes, count, s);
    if (count == 0) return {MmioExit::Retry};
    const auto decoded = decode(std::as_bytes(std::span{bytes}).first(count), mode);
    if (!decoded) return cannot(bytes, count, s);
    if (kernel_code) vcpu.instructions().keep_access(s, linear_rip, bytes, *decoded);
    if (!carry_out(vm, vcpu, *decoded, mode)) return cannot(bytes, count, s);
    return {};
}

}  // namespace bulkhead::vmm
