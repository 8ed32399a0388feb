// SPDX-License-Identifier: Apache-2.0
// Carries out a decoded instruction whose memory operand is a device: one access, then registers and flags as
// the processor would leave them. The guest-physical address comes from the nested page fault, so nothing is
// translated.
//
// `Device` has `std::uint64_t read(GuestPhys, unsigned size)` and `void write(GuestPhys, unsigned size,
// std::uint64_t)`; sizes are 1, 2, 4, 8, and a device answers accesses that it does not know by all ones and
// by ignoring them.
#pragma once

#include <cstdint>
#include <span>

#include "services/vmm-stubdom/decoder/instruction.hpp"
#include "services/vmm-stubdom/memory/guest_address.hpp"

namespace bulkhead::vmm {

enum class MmioResult : std::uint8_t {
    Done,         // advance RIP by the instruction's length
    Again,        // a repeated string instruction has more to do: leave RIP where it is
    Unsupported,  // nothing was done; MOVS between two devices, or an instruction that accesses no memory
};

// rax rcx rdx rbx rsp rbp rsi rdi r8 ... r15
using GuestRegisters = std::span<std::uint64_t, 16>;

[[nodiscard]] std::uint64_t read_register(const Instruction& instruction, GuestRegisters registers);
// Writing 4 bytes clears the upper half, writing 1 or 2 keeps the rest, as in the processor.
void write_register(const Instruction& instruction, GuestRegisters registers, std::uint64_t value);

struct AluResult {
    std::uint64_t value = 0;
    std::uint64_t rflags = 0;
    bool writes_back = false;  // false for CMP and TEST
};
// `destination` and `source` of `size` bytes; keeps the flags that the instruction does not define.
[[nodiscard]] AluResult execute_alu(Operation operation, unsigned size, std::uint64_t destination,
                                    std::uint64_t source, std::uint64_t rflags);
[[nodiscard]] bool is_alu(Operation operation);
[[nodiscard]] std::uint64_t extend(const Instruction& instruction, std::uint64_t value);
// Moves the string pointer and counts rCX down; true when the instruction is to be repeated.
[[nodiscard]] bool step_string(const Instruction& instruction, GuestRegisters registers,
                               std::uint64_t rflags);

template <typename Device>
[[nodiscard]] MmioResult emulate_mmio(const Instruction& instruction, GuestRegisters registers,
                                      std::uint64_t& rflags, GuestPhys address, Device& device) {
    const unsigned size = instruction.memory_size;
    const Operation operation = instruction.operation;
    if (instruction.operands == Operands::String) {
        if (operation == Operation::Stos) {
            device.write(address, size, read_register(instruction, registers));
        } else if (operation == Operation::Lods) {
            write_register(instruction, registers, device.read(address, size));
        } else {
            return MmioResult::Unsupported;
        }
        return step_string(instruction, registers, rflags) ? MmioResult::Again : MmioResult::Done;
    }
    const bool to_register = instruction.operands == Operands::RegisterFromMemory;
    const bool from_immediate = instruction.operands == Operands::MemoryFromImmediate;
    if (!to_register && !from_immediate && instruction.operands != Operands::MemoryFromRegister) {
        return MmioResult::Unsupported;
    }
    const std::uint64_t operand = from_immediate ? static_cast<std::uint64_t>(instruction.immediate)
                                                 : read_register(instruction, registers);
    if (operation == Operation::Xchg) {
        const std::uint64_t old = device.read(address, size);
        device.write(address, size, operand);
        write_register(instruction, registers, old);
    } else if (is_alu(operation)) {
        const std::uint64_t memory = device.read(address, size);
        const AluResult result = to_register ? execute_alu(operation, size, operand, memory, rflags)
                                             : execute_alu(operation, size, memory, operand, rflags);
        rflags = result.rflags;
        if (result.writes_back && to_register) write_register(instruction, registers, result.value);
        if (result.writes_back && !to_register) device.write(address, size, result.value);
    } else if (to_register) {
        write_register(instruction, registers, extend(instruction, device.read(address, size)));
    } else {
        device.write(address, size, size == 8 ? operand : operand & ((1ULL << (8 * size)) - 1));
    }
    return MmioResult::Done;
}

}  // namespace bulkhead::vmm
