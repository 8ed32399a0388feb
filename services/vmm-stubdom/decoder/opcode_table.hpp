// SPDX-License-Identifier: Apache-2.0
// Which opcodes the decoder knows and how each is encoded (AMD64 Architecture Programmer's Manual, volume 3,
// appendix A). Internal to the decoder.
#pragma once

#include <array>
#include <cstdint>

#include "services/vmm-stubdom/decoder/instruction.hpp"

namespace bulkhead::vmm {

// W: bit 0 of the opcode chooses between a byte and the operand size.
enum class Encoding : std::uint8_t {
    Unknown,
    Plain,           // nothing follows
    StoreW,          // ModRM: memory from register
    LoadW,           // ModRM: register from memory
    Extend,          // ModRM: register of operand size from memory of 1 or 2 bytes
    ExtendDword,     // ModRM: MOVSXD, in 64-bit mode
    Group1,          // ModRM with immediate: 80, 81, 83
    MovImmediateW,   // ModRM with immediate: C6 /0, C7 /0
    TestImmediateW,  // ModRM with immediate: F6 /0, F7 /0
    MoffsLoadW,      // A0, A1
    MoffsStoreW,     // A2, A3
    StringSourceW,   // MOVS, LODS, OUTS
    StringTargetW,   // STOS, INS
    PortImmediateW,  // E4 - E7
    PortDxW,         // EC - EF
    ImmediateByte,   // INT n
    PauseOnly,       // 90, with F3
    SystemMove,      // MOV to or from CR, DR: ModRM with mod ignored
    Group0f01,       // by the whole ModRM byte
};

struct Opcode {
    Operation operation = Operation::Hlt;
    Encoding encoding = Encoding::Unknown;
};

using OpcodeTable = std::array<Opcode, 256>;

inline constexpr OpcodeTable kOneByteOpcodes = [] {
    using enum Operation;
    OpcodeTable t{};
    constexpr Operation kArithmetic[] = {Add, Or, Adc, Sbb, And, Sub, Xor, Cmp};
    for (unsigned i = 0; i < 8; ++i) {
        t[i * 8 + 0] = t[i * 8 + 1] = {kArithmetic[i], Encoding::StoreW};
        t[i * 8 + 2] = t[i * 8 + 3] = {kArithmetic[i], Encoding::LoadW};
    }
    t[0x63] = {MovSignExtend, Encoding::ExtendDword};
    t[0x6c] = t[0x6d] = {Ins, Encoding::StringTargetW};
    t[0x6e] = t[0x6f] = {Outs, Encoding::StringSourceW};
    t[0x80] = t[0x81] = t[0x83] = {Add, Encoding::Group1};
    t[0x84] = t[0x85] = {Test, Encoding::StoreW};
    t[0x86] = t[0x87] = {Xchg, Encoding::StoreW};
    t[0x88] = t[0x89] = {Mov, Encoding::StoreW};
    t[0x8a] = t[0x8b] = {Mov, Encoding::LoadW};
    t[0x90] = {Pause, Encoding::PauseOnly};
    t[0x9c] = {Pushf, Encoding::Plain};
    t[0x9d] = {Popf, Encoding::Plain};
    t[0xa0] = t[0xa1] = {Mov, Encoding::MoffsLoadW};
    t[0xa2] = t[0xa3] = {Mov, Encoding::MoffsStoreW};
    t[0xa4] = t[0xa5] = {Movs, Encoding::StringSourceW};
    t[0xaa] = t[0xab] = {Stos, Encoding::StringTargetW};
    t[0xac] = t[0xad] = {Lods, Encoding::StringSourceW};
    t[0xc6] = t[0xc7] = {Mov, Encoding::MovImmediateW};
    t[0xcc] = {Int3, Encoding::Plain};
    t[0xcd] = {IntN, Encoding::ImmediateByte};
    t[0xcf] = {Iret, Encoding::Plain};
    t[0xe4] = t[0xe5] = {In, Encoding::PortImmediateW};
    t[0xe6] = t[0xe7] = {Out, Encoding::PortImmediateW};
    t[0xec] = t[0xed] = {In, Encoding::PortDxW};
    t[0xee] = t[0xef] = {Out, Encoding::PortDxW};
    t[0xf1] = {IcebpInt1, Encoding::Plain};
    t[0xf4] = {Hlt, Encoding::Plain};
    t[0xf6] = t[0xf7] = {Test, Encoding::TestImmediateW};
    return t;
}();

inline constexpr OpcodeTable kTwoByteOpcodes = [] {
    using enum Operation;
    OpcodeTable t{};
    t[0x01] = {Invlpg, Encoding::Group0f01};
    t[0x06] = {Clts, Encoding::Plain};
    t[0x08] = {Invd, Encoding::Plain};
    t[0x09] = {Wbinvd, Encoding::Plain};
    t[0x20] = {MovFromCr, Encoding::SystemMove};
    t[0x21] = {MovFromDr, Encoding::SystemMove};
    t[0x22] = {MovToCr, Encoding::SystemMove};
    t[0x23] = {MovToDr, Encoding::SystemMove};
    t[0x30] = {Wrmsr, Encoding::Plain};
    t[0x31] = {Rdtsc, Encoding::Plain};
    t[0x32] = {Rdmsr, Encoding::Plain};
    t[0x33] = {Rdpmc, Encoding::Plain};
    t[0xa2] = {Cpuid, Encoding::Plain};
    t[0xaa] = {Rsm, Encoding::Plain};
    t[0xb6] = t[0xb7] = {MovZeroExtend, Encoding::Extend};
    t[0xbe] = t[0xbf] = {MovSignExtend, Encoding::Extend};
    return t;
}();

// 0F 01 with a register ModRM byte: C0 - FF.
inline constexpr std::array<Opcode, 64> kGroup0f01 = [] {
    using enum Operation;
    std::array<Opcode, 64> t{};
    const auto set = [&t](unsigned modrm, Operation operation) {
        t[modrm - 0xc0] = {operation, Encoding::Plain};
    };
    set(0xc1, Vmcall);
    set(0xc8, Monitor);
    set(0xc9, Mwait);
    set(0xd0, Xgetbv);
    set(0xd1, Xsetbv);
    set(0xd8, Vmrun);
    set(0xd9, Vmmcall);
    set(0xda, Vmload);
    set(0xdb, Vmsave);
    set(0xdc, Stgi);
    set(0xdd, Clgi);
    set(0xde, Skinit);
    set(0xdf, Invlpga);
    set(0xf9, Rdtscp);
    set(0xfa, Monitorx);
    set(0xfb, Mwaitx);
    set(0xfd, Rdpru);
    return t;
}();

}  // namespace bulkhead::vmm
