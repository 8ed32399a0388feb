// SPDX-License-Identifier: Apache-2.0
// A decoded guest instruction: what the VMM needs to emulate an access to a device, or to step over an
// instruction that exited. A value type of fixed size.
#pragma once

#include <cstdint>
#include <span>

namespace bulkhead::vmm {

// From CS.L and CS.D (in long mode), or CS.D alone.
enum class CpuMode : std::uint8_t { Bits16, Bits32, Bits64 };

enum class Operation : std::uint8_t {
    // Access memory; MMIO-capable.
    Mov,
    MovZeroExtend,
    MovSignExtend,
    Add,
    Or,
    Adc,
    Sbb,
    And,
    Sub,
    Xor,
    Cmp,
    Test,
    Xchg,
    Movs,
    Stos,
    Lods,
    // Exit by themselves.
    In,
    Out,
    Ins,
    Outs,
    Cpuid,
    Rdmsr,
    Wrmsr,
    Rdtsc,
    Rdtscp,
    Rdpmc,
    Rdpru,
    Hlt,
    Pause,
    Invd,
    Wbinvd,
    Wbnoinvd,
    Invlpg,
    Invlpga,
    Vmcall,
    Vmmcall,
    Vmrun,
    Vmload,
    Vmsave,
    Stgi,
    Clgi,
    Skinit,
    Monitor,
    Mwait,
    Monitorx,
    Mwaitx,
    Xgetbv,
    Xsetbv,
    Clts,
    Rsm,
    Iret,
    Pushf,
    Popf,
    IntN,
    Int3,
    IcebpInt1,
    MovFromCr,
    MovToCr,
    MovFromDr,
    MovToDr,
};

enum class Operands : std::uint8_t {
    None,
    MemoryFromRegister,   // memory op= register
    RegisterFromMemory,   // register op= memory
    MemoryFromImmediate,  // memory op= immediate
    String,  // Movs: memory is the source, ES:rDI the destination; Stos, Ins: ES:rDI; Lods, Outs: source
    PortImmediate,  // port = immediate
    PortDx,
    Address,         // of memory that is not accessed (INVLPG)
    Immediate,       // INT n
    SystemRegister,  // general register `reg`, control or debug register `immediate`
};

enum class Segment : std::uint8_t { Es, Cs, Ss, Ds, Fs, Gs };

inline constexpr std::uint8_t kNoRegister = 0xff;

// Registers have the processor's numbers: rax rcx rdx rbx rsp rbp rsi rdi r8 ... r15.
struct MemoryOperand {
    Segment segment = Segment::Ds;
    std::uint8_t base = kNoRegister;
    std::uint8_t index = kNoRegister;
    std::uint8_t scale = 1;
    std::uint8_t address_size = 8;  // 2, 4, 8: the offset is truncated to it
    bool rip_relative = false;
    std::int64_t displacement = 0;

    bool operator==(const MemoryOperand&) const = default;
};

struct Instruction {
    Operation operation = Operation::Hlt;
    Operands operands = Operands::None;
    std::uint8_t length = 0;
    std::uint8_t memory_size = 0;    // bytes of one access to memory or port
    std::uint8_t register_size = 0;  // bytes of `reg` read or written; writing 4 clears the upper half
    std::uint8_t reg = kNoRegister;
    bool high_byte = false;  // `reg` 0-3 means AH, CH, DH, BH
    bool rep = false;        // F3; for strings: repeat
    bool repne = false;      // F2
    bool lock = false;
    MemoryOperand memory;
    std::int64_t immediate = 0;  // sign-extended

    bool operator==(const Instruction&) const = default;
};

// Offset within the segment; the caller adds the segment's base (zero in 64-bit mode but for FS and GS).
[[nodiscard]] std::uint64_t effective_offset(const Instruction& instruction,
                                             std::span<const std::uint64_t, 16> registers, std::uint64_t rip);

}  // namespace bulkhead::vmm
