// SPDX-License-Identifier: Apache-2.0
#include "services/vmm-stubdom/decoder/mmio_emulator.hpp"

#include <bit>

namespace bulkhead::vmm {
namespace {

constexpr std::uint64_t kCarry = 1ULL << 0;
constexpr std::uint64_t kParity = 1ULL << 2;
constexpr std::uint64_t kAdjust = 1ULL << 4;
constexpr std::uint64_t kZero = 1ULL << 6;
constexpr std::uint64_t kSign = 1ULL << 7;
constexpr std::uint64_t kDirection = 1ULL << 10;
constexpr std::uint64_t kOverflow = 1ULL << 11;
constexpr std::uint64_t kArithmeticFlags = kCarry | kParity | kAdjust | kZero | kSign | kOverflow;

constexpr std::uint64_t mask_of(unsigned size) {
    return size >= 8 ? ~0ULL : (1ULL << (8 * size)) - 1;
}

constexpr std::uint64_t merge(std::uint64_t old, std::uint64_t value, unsigned size) {
    if (size >= 4) return value & mask_of(size);
    return (old & ~mask_of(size)) | (value & mask_of(size));
}

}  // namespace

std::uint64_t read_register(const Instruction& instruction, GuestRegisters registers) {
    if (instruction.reg == kNoRegister) return 0;
    const std::uint64_t value = registers[instruction.reg & 15];
    return (instruction.high_byte ? value >> 8 : value) & mask_of(instruction.register_size);
}

void write_register(const Instruction& instruction, GuestRegisters registers, std::uint64_t value) {
    if (instruction.reg == kNoRegister) return;
    std::uint64_t& target = registers[instruction.reg & 15];
    if (instruction.high_byte) {
        target = (target & ~0xff00ULL) | (value & 0xff) << 8;
    } else {
        target = merge(target, value, instruction.register_size);
    }
}

bool is_alu(Operation operation) {
    return operation >= Operation::Add && operation <= Operation::Test;
}

std::uint64_t extend(const Instruction& instruction, std::uint64_t value) {
    const unsigned shift = 64 - 8U * instruction.memory_size;
    value <<= shift;
    if (instruction.operation != Operation::MovSignExtend) return value >> shift;
    return static_cast<std::uint64_t>(static_cast<std::int64_t>(value) >> shift);
}

AluResult execute_alu(Operation operation, unsigned size, std::uint64_t destination, std::uint64_t source,
                      std::uint64_t rflags) {
    const std::uint64_t mask = mask_of(size);
    const std::uint64_t sign = 1ULL << (8 * size - 1);
    const std::uint64_t a = destination & mask;
    const std::uint64_t b = source & mask;
    const bool with_carry = operation == Operation::Adc || operation == Operation::Sbb;
    const std::uint64_t carry_in = with_carry ? rflags & kCarry : 0;
    std::uint64_t value = 0;
    std::uint64_t flags = 0;
    switch (operation) {
        case Operation::Add:
        case Operation::Adc:
            value = (a + b + carry_in) & mask;
            if (value < a || (carry_in && value == a)) flags |= kCarry;
            if (~(a ^ b) & (a ^ value) & sign) flags |= kOverflow;
            flags |= (a ^ b ^ value) & kAdjust;
            break;
        case Operation::Sub:
        case Operation::Sbb:
        case Operation::Cmp:
            value = (a - b - carry_in) & mask;
            if (a < b || (carry_in && a == b)) flags |= kCarry;
            if ((a ^ b) & (a ^ value) & sign) flags |= kOverflow;
            flags |= (a ^ b ^ value) & kAdjust;
            break;
        case Operation::Or: value = a | b; break;
        case Operation::And:
        case Operation::Test: value = a & b; break;
        case Operation::Xor: value = a ^ b; break;
        default: return {a, rflags, false};
    }
    if (value == 0) flags |= kZero;
    if (value & sign) flags |= kSign;
    if (std::popcount(value & 0xff) % 2 == 0) flags |= kParity;
    const bool compares = operation == Operation::Cmp || operation == Operation::Test;
    return {value, (rflags & ~kArithmeticFlags) | flags, !compares};
}

bool step_string(const Instruction& instruction, GuestRegisters registers, std::uint64_t rflags) {
    const unsigned address_size = instruction.memory.address_size;
    std::uint64_t& pointer = registers[instruction.memory.base & 15];
    const std::uint64_t step = instruction.memory_size;
    pointer = merge(pointer, rflags & kDirection ? pointer - step : pointer + step, address_size);
    if (!instruction.rep && !instruction.repne) return false;
    std::uint64_t& count = registers[1];
    count = merge(count, count - 1, address_size);
    return (count & mask_of(address_size)) != 0;
}

}  // namespace bulkhead::vmm
