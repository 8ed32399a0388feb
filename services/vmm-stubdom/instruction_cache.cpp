// SPDX-License-Identifier: Apache-2.0
#include "services/vmm-stubdom/instruction_cache.hpp"

namespace bulkhead::vmm {

namespace {

bool is_prefix(uint8_t byte, bool long_mode) {
    switch (byte) {
        case 0x66:
        case 0x67:
        case 0xf0:
        case 0xf2:
        case 0xf3:
        case 0x2e:
        case 0x36:
        case 0x3e:
        case 0x26:
        case 0x64:
        case 0x65: return true;
        default: return long_mode && (byte & 0xf0) == 0x40;
    }
}

uint64_t mask_of(unsigned bytes) {
    return bytes >= 8 ? ~uint64_t{0} : (uint64_t{1} << (8 * bytes)) - 1;
}
PagingState paging(const abi::VcpuState& state) {
    return {state.cr0, state.cr3, state.cr4, state.efer};
}

}  // namespace

unsigned InstructionCache::fetch(const abi::VcpuState& state, uint64_t linear, uint8_t (&bytes)[15]) const {
    if (state.fetched_bytes) {
        const unsigned count = state.fetched_bytes < 15 ? state.fetched_bytes : 15;
        std::memcpy(bytes, state.instruction, count);
        return count;
    }
    const PageWalker walker{memory_, paging(state)};
    return static_cast<unsigned>(walker.copy_in(linear, std::as_writable_bytes(std::span{bytes}),
                                                Access::Execute,
                                                state.cpl == 3 ? Privilege::User : Privilege::Supervisor));
}

// Which opcodes can stand behind an exit reason; the prefixes before them are free.
unsigned InstructionCache::measure(abi::ExitReason reason, const uint8_t* b, unsigned n) {
    using enum abi::ExitReason;
    const auto two = [&](uint8_t second) { return n >= 2 && b[0] == 0x0f && b[1] == second ? 2u : 0u; };
    const auto three = [&](uint8_t third) {
        return n >= 3 && b[0] == 0x0f && b[1] == 0x01 && b[2] == third ? 3u : 0u;
    };
    switch (reason) {
        case Cpuid: return two(0xa2);
        case MsrRead: return two(0x32);
        case MsrWrite: return two(0x30);
        case Rdtsc: return two(0x31) ? 2 : three(0xf9);
        case Wbinvd: return two(0x09) ? 2 : two(0x08);
        case Hypercall: return three(0xd9) ? 3 : three(0xc1);
        case Xsetbv: return three(0xd1);
        case Hlt: return n >= 1 && b[0] == 0xf4 ? 1 : 0;
        case Pause: return n >= 1 && b[0] == 0x90 ? 1 : 0;
        default: return 0;
    }
}

unsigned InstructionCache::look(const abi::VcpuState& state, uint64_t linear) {
    uint8_t bytes[15];
    const unsigned count = fetch(state, linear, bytes);
    const bool long_mode = (state.efer & (1 << 10)) != 0;
    unsigned prefixes = 0;
    while (prefixes < count && is_prefix(bytes[prefixes], long_mode)) ++prefixes;
    const unsigned opcode = measure(state.reason, bytes + prefixes, count - prefixes);
    const unsigned length = opcode ? prefixes + opcode : 0;
    if (length == 0 || length > 8) return length;
    const std::byte* host = locate(state, linear, 8);
    if (!host) return length;
    uint64_t value = 0;
    std::memcpy(&value, bytes, length);
    entries_[slot(linear)] =
        Entry{linear, state.cr3, host, mask_of(length), value, state.reason, static_cast<uint8_t>(length)};
    return length;
}

const std::byte* InstructionCache::locate(const abi::VcpuState& state, uint64_t linear,
                                          unsigned count) const {
    if ((linear & 0xfff) > 4096 - count) return nullptr;
    const PageWalker walker{memory_, paging(state)};
    const auto where =
        walker.translate(linear, Access::Execute, state.cpl == 3 ? Privilege::User : Privilege::Supervisor);
    const auto bytes = where ? memory_.span(where->address, count) : std::nullopt;
    return bytes ? bytes->data() : nullptr;
}

void InstructionCache::keep_access(const abi::VcpuState& state, uint64_t linear, const uint8_t* bytes,
                                   const Instruction& instruction) {
    const std::byte* host = locate(state, linear, 16);
    if (!host) return;
    AccessEntry e{linear, state.cr3, host, {}, {}, instruction};
    const unsigned low = instruction.length < 8 ? instruction.length : 8, high = instruction.length - low;
    e.mask[0] = mask_of(low);
    e.mask[1] = mask_of(high);
    std::memcpy(&e.value[0], bytes, low);
    std::memcpy(&e.value[1], bytes + low, high);
    accesses_[slot(linear)] = e;
}

}  // namespace bulkhead::vmm
