// SPDX-License-Identifier: Apache-2.0
#include "services/vmm-stubdom/io_ports.hpp"

#include <algorithm>
#include <array>

#include "services/vmm-stubdom/vm.hpp"

namespace bulkhead::vmm {

namespace {

constexpr uint16_t kPitChannel2 = 0x42, kDebugConsole = 0xe9;
constexpr uint64_t kDirectionFlag = 1 << 10;
constexpr uint64_t kMostIterations = 512;  // of one string instruction per exit; then the guest comes again
enum Gpr : unsigned { kRax = 0, kRcx = 1, kRsi = 6, kRdi = 7 };

void read_port(abi::VcpuState& s) {
    const uint64_t value = s.io_port == kPitChannel2 ? 0 : ~uint64_t{0};
    uint64_t& rax = s.gpr[kRax];
    switch (s.io_bytes) {
        case 1: rax = (rax & ~uint64_t{0xff}) | (value & 0xff); break;
        case 2: rax = (rax & ~uint64_t{0xffff}) | (value & 0xffff); break;
        default: rax = value & 0xffffffff; break;
    }
}

uint64_t address_mask(const abi::VcpuState& s) {
    return s.io_address_bytes == 2 ? 0xffff : s.io_address_bytes == 4 ? 0xffffffff : ~uint64_t{0};
}

uint64_t masked(uint64_t old, uint64_t value, uint64_t mask) {
    if (mask == 0xffff) return (old & ~mask) | (value & mask);
    return value & mask;  // 32-bit results are zero-extended
}

// INS fills memory with ones, OUTS reads and drops; both move their registers as the hardware does.
bool string_io(Vm& vm, Vcpu& vcpu) {
    abi::VcpuState& s = vcpu.state();
    vcpu.port().sync();
    const uint64_t mask = address_mask(s);
    const uint64_t count = s.io_rep ? std::min(s.gpr[kRcx] & mask, kMostIterations) : 1;
    const uint64_t step = (s.rflags & kDirectionFlag) ? ~uint64_t{s.io_bytes} + 1 : s.io_bytes;
    uint64_t& index = s.gpr[s.io_in ? kRdi : kRsi];
    const bool long_mode = (s.efer & (1 << 10)) && (s.cs.attributes & (1 << 9));
    const PageWalker walker{vm.memory(), {s.cr0, s.cr3, s.cr4, s.efer}};
    const Privilege privilege = s.cpl == 3 ? Privilege::User : Privilege::Supervisor;
    std::array<std::byte, 4> ones;
    ones.fill(std::byte{0xff});

    for (uint64_t i = 0; i < count; ++i) {
        if (s.io_in) {
            const uint64_t linear = (index & mask) + (long_mode ? 0 : s.es.base);
            if (walker.copy_out(linear, std::span{ones}.first(s.io_bytes <= 4 ? s.io_bytes : 4), privilege) !=
                s.io_bytes) {
                s.cr2 = linear;
                s.dirty |= abi::VcpuState::kControl;
                vcpu.inject_exception(14, true, 2u | (s.cpl == 3 ? 4u : 0u));
                return false;
            }
        }
        index = masked(index, index + step, mask);
        if (s.io_rep) s.gpr[kRcx] = masked(s.gpr[kRcx], s.gpr[kRcx] - 1, mask);
    }
    return !s.io_rep || (s.gpr[kRcx] & mask) == 0;
}

}  // namespace

bool handle_port_io(Vm& vm, Vcpu& vcpu) {
    abi::VcpuState& s = vcpu.state();
    if (s.io_string) return string_io(vm, vcpu);
    if (s.io_in) {
        read_port(s);
    } else if (s.io_port == kDebugConsole && s.io_bytes == 1) {
        const char c = static_cast<char>(s.gpr[kRax]);
        vm.observer().console_text({&c, 1});
    }
    return true;
}

}  // namespace bulkhead::vmm
