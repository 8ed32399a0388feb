// SPDX-License-Identifier: Apache-2.0
// Decodes arbitrary bytes and compares with Zydis: whatever our decoder accepts, Zydis must accept with the
// same length and the same operands. A wrong length would make the VMM resume a guest in the middle of an
// instruction.
#include <Zydis/Zydis.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "services/vmm-stubdom/decoder/decoder.hpp"

namespace {

using namespace bulkhead::vmm;

const std::uint8_t* current = nullptr;
std::size_t current_size = 0;

void expect(bool holds, const char* what, std::uint64_t ours = 0, std::uint64_t theirs = 0) {
    if (holds) return;
    std::fprintf(stderr, "%s: ours %llx, Zydis %llx, input:", what, static_cast<unsigned long long>(ours),
                 static_cast<unsigned long long>(theirs));
    for (std::size_t i = 0; i < current_size; ++i) std::fprintf(stderr, " %02x", current[i]);
    std::fprintf(stderr, "\n");
    std::abort();
}

std::uint8_t number_of(ZydisRegister reg) {
    if (reg == ZYDIS_REGISTER_NONE) return kNoRegister;
    return static_cast<std::uint8_t>(ZydisRegisterGetId(reg));
}

Segment segment_of(ZydisRegister reg) {
    switch (reg) {
        case ZYDIS_REGISTER_ES: return Segment::Es;
        case ZYDIS_REGISTER_CS: return Segment::Cs;
        case ZYDIS_REGISTER_SS: return Segment::Ss;
        case ZYDIS_REGISTER_FS: return Segment::Fs;
        case ZYDIS_REGISTER_GS: return Segment::Gs;
        default: return Segment::Ds;
    }
}

void compare_memory(const Instruction& ours, const ZydisDecodedOperand& theirs, CpuMode mode) {
    const auto& m = theirs.mem;
    const bool rip = m.base == ZYDIS_REGISTER_RIP || m.base == ZYDIS_REGISTER_EIP;
    expect(ours.memory.rip_relative == rip, "RIP-relative", ours.memory.rip_relative, rip);
    const std::uint8_t base = rip ? kNoRegister : number_of(m.base);
    expect(ours.memory.base == base, "base", ours.memory.base, base);
    const std::uint8_t index = number_of(m.index);
    expect(ours.memory.index == index, "index", ours.memory.index, index);
    if (index != kNoRegister) expect(ours.memory.scale == m.scale, "scale", ours.memory.scale, m.scale);
    const std::uint64_t mask =
        ours.memory.address_size == 8 ? ~0ULL : (1ULL << (8 * ours.memory.address_size)) - 1;
    const std::uint64_t disp = m.disp.has_displacement ? static_cast<std::uint64_t>(m.disp.value) : 0;
    const std::uint64_t our_disp = static_cast<std::uint64_t>(ours.memory.displacement);
    expect((our_disp & mask) == (disp & mask), "displacement", our_disp, disp);
    // In 64-bit mode only FS and GS have a base, and Zydis names the others as written.
    const Segment segment = segment_of(m.segment);
    const bool flat = mode == CpuMode::Bits64 && segment != Segment::Fs && segment != Segment::Gs &&
                      ours.memory.segment != Segment::Fs && ours.memory.segment != Segment::Gs;
    if (!flat) expect(ours.memory.segment == segment, "segment", 0, 0);
    if (ours.operands != Operands::Address) {
        expect(ours.memory_size * 8U == theirs.size, "memory size", ours.memory_size * 8U, theirs.size);
    }
}

void compare_register(const Instruction& ours, const ZydisDecodedOperand& theirs) {
    const ZydisRegister reg = theirs.reg.value;
    const bool high = reg >= ZYDIS_REGISTER_AH && reg <= ZYDIS_REGISTER_BH;
    expect(ours.high_byte == high, "high byte", ours.high_byte, high);
    // Zydis numbers AL..BL 0-3, AH..BH 4-7, SPL.. from 8: take its number in the full register instead.
    const auto full = ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, reg);
    const std::uint8_t number = number_of(full);
    expect(ours.reg == number, "register", ours.reg, number);
    expect(ours.register_size * 8U == theirs.size, "register size", ours.register_size * 8U, theirs.size);
}

void compare_operands(const Instruction& ours, const ZydisDecodedInstruction& instruction,
                      const ZydisDecodedOperand* operands, CpuMode mode) {
    const bool has_memory =
        ours.operands == Operands::MemoryFromRegister || ours.operands == Operands::Address ||
        ours.operands == Operands::RegisterFromMemory || ours.operands == Operands::MemoryFromImmediate ||
        ours.operands == Operands::String;
    bool memory_seen = false;
    for (unsigned i = 0; i < instruction.operand_count; ++i) {
        const ZydisDecodedOperand& operand = operands[i];
        const bool hidden = operand.visibility == ZYDIS_OPERAND_VISIBILITY_HIDDEN;
        if (operand.type == ZYDIS_OPERAND_TYPE_MEMORY && has_memory) {
            memory_seen = true;
            // Zydis 4.0 names R13D as base here; the manual (table of SIB base encodings), objdump and we say
            // none.
            const bool zydis_errs = operand.mem.base == ZYDIS_REGISTER_R13D &&
                                    instruction.raw.modrm.mod == 0 && instruction.raw.modrm.rm == 4 &&
                                    instruction.raw.sib.base == 5;
            if (zydis_errs) continue;
            // MOVS has two: ours is the source, the one read.
            const bool is_read = (operand.actions & ZYDIS_OPERAND_ACTION_MASK_READ) != 0;
            if (ours.operation == Operation::Movs && !is_read) continue;
            compare_memory(ours, operand, mode);
        }
        const bool general =
            ours.operands == Operands::MemoryFromRegister || ours.operands == Operands::RegisterFromMemory;
        if (operand.type == ZYDIS_OPERAND_TYPE_REGISTER && general && !hidden)
            compare_register(ours, operand);
        if (operand.type == ZYDIS_OPERAND_TYPE_IMMEDIATE && !hidden) {
            const std::uint64_t width = ours.memory_size == 0 ? 1 : ours.memory_size;
            const std::uint64_t mask = width >= 8 ? ~0ULL : (1ULL << (8 * width)) - 1;
            const auto value = static_cast<std::uint64_t>(ours.immediate);
            expect((value & mask) == (operand.imm.value.u & mask), "immediate", value, operand.imm.value.u);
        }
    }
    expect(memory_seen == has_memory, "has memory", has_memory, memory_seen);
}

bool same_mnemonic(Operation ours, ZydisMnemonic theirs) {
    const char* name = ZydisMnemonicGetString(theirs);
    const auto starts = [name](const char* text) {
        return std::string_view(name).substr(0, std::string_view(text).size()) == text;
    };
    switch (ours) {
        case Operation::Mov:
        case Operation::MovFromCr:
        case Operation::MovToCr:
        case Operation::MovFromDr:
        case Operation::MovToDr: return theirs == ZYDIS_MNEMONIC_MOV;
        case Operation::MovZeroExtend: return theirs == ZYDIS_MNEMONIC_MOVZX;
        case Operation::MovSignExtend:
            return theirs == ZYDIS_MNEMONIC_MOVSX || theirs == ZYDIS_MNEMONIC_MOVSXD;
        case Operation::Add: return theirs == ZYDIS_MNEMONIC_ADD;
        case Operation::Or: return theirs == ZYDIS_MNEMONIC_OR;
        case Operation::Adc: return theirs == ZYDIS_MNEMONIC_ADC;
        case Operation::Sbb: return theirs == ZYDIS_MNEMONIC_SBB;
        case Operation::And: return theirs == ZYDIS_MNEMONIC_AND;
        case Operation::Sub: return theirs == ZYDIS_MNEMONIC_SUB;
        case Operation::Xor: return theirs == ZYDIS_MNEMONIC_XOR;
        case Operation::Cmp: return theirs == ZYDIS_MNEMONIC_CMP;
        case Operation::Test: return theirs == ZYDIS_MNEMONIC_TEST;
        case Operation::Xchg: return theirs == ZYDIS_MNEMONIC_XCHG;
        case Operation::Movs: return starts("movs");
        case Operation::Stos: return starts("stos");
        case Operation::Lods: return starts("lods");
        case Operation::In: return theirs == ZYDIS_MNEMONIC_IN;
        case Operation::Out: return theirs == ZYDIS_MNEMONIC_OUT;
        case Operation::Ins: return starts("ins");
        case Operation::Outs: return starts("outs");
        case Operation::Cpuid: return theirs == ZYDIS_MNEMONIC_CPUID;
        case Operation::Rdmsr: return theirs == ZYDIS_MNEMONIC_RDMSR;
        case Operation::Wrmsr: return theirs == ZYDIS_MNEMONIC_WRMSR;
        case Operation::Rdtsc: return theirs == ZYDIS_MNEMONIC_RDTSC;
        case Operation::Rdtscp: return theirs == ZYDIS_MNEMONIC_RDTSCP;
        case Operation::Rdpmc: return theirs == ZYDIS_MNEMONIC_RDPMC;
        case Operation::Rdpru: return theirs == ZYDIS_MNEMONIC_RDPRU;
        case Operation::Hlt: return theirs == ZYDIS_MNEMONIC_HLT;
        case Operation::Pause: return theirs == ZYDIS_MNEMONIC_PAUSE;
        case Operation::Invd: return theirs == ZYDIS_MNEMONIC_INVD;
        case Operation::Wbinvd: return theirs == ZYDIS_MNEMONIC_WBINVD;
        case Operation::Wbnoinvd: return theirs == ZYDIS_MNEMONIC_WBINVD;  // Zydis 4.0 knows one name
        case Operation::Invlpg: return theirs == ZYDIS_MNEMONIC_INVLPG;
        case Operation::Invlpga: return theirs == ZYDIS_MNEMONIC_INVLPGA;
        case Operation::Vmcall: return theirs == ZYDIS_MNEMONIC_VMCALL;
        case Operation::Vmmcall: return theirs == ZYDIS_MNEMONIC_VMMCALL;
        case Operation::Vmrun: return theirs == ZYDIS_MNEMONIC_VMRUN;
        case Operation::Vmload: return theirs == ZYDIS_MNEMONIC_VMLOAD;
        case Operation::Vmsave: return theirs == ZYDIS_MNEMONIC_VMSAVE;
        case Operation::Stgi: return theirs == ZYDIS_MNEMONIC_STGI;
        case Operation::Clgi: return theirs == ZYDIS_MNEMONIC_CLGI;
        case Operation::Skinit: return theirs == ZYDIS_MNEMONIC_SKINIT;
        case Operation::Monitor: return theirs == ZYDIS_MNEMONIC_MONITOR;
        case Operation::Mwait: return theirs == ZYDIS_MNEMONIC_MWAIT;
        case Operation::Monitorx: return theirs == ZYDIS_MNEMONIC_MONITORX;
        case Operation::Mwaitx: return theirs == ZYDIS_MNEMONIC_MWAITX;
        case Operation::Xgetbv: return theirs == ZYDIS_MNEMONIC_XGETBV;
        case Operation::Xsetbv: return theirs == ZYDIS_MNEMONIC_XSETBV;
        case Operation::Clts: return theirs == ZYDIS_MNEMONIC_CLTS;
        case Operation::Rsm: return theirs == ZYDIS_MNEMONIC_RSM;
        case Operation::Iret: return starts("iret");
        case Operation::Pushf: return starts("pushf");
        case Operation::Popf: return starts("popf");
        case Operation::IntN: return theirs == ZYDIS_MNEMONIC_INT;
        case Operation::Int3: return theirs == ZYDIS_MNEMONIC_INT3;
        case Operation::IcebpInt1: return theirs == ZYDIS_MNEMONIC_INT1;
    }
    return false;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    current = data;
    current_size = size;
    const auto mode = static_cast<CpuMode>(data[0] % 3);
    const auto ours = decode({reinterpret_cast<const std::byte*>(data + 1), size - 1}, mode);
    if (!ours) return 0;

    ZydisDecoder decoder;
    const ZydisMachineMode machine = mode == CpuMode::Bits64   ? ZYDIS_MACHINE_MODE_LONG_64
                                     : mode == CpuMode::Bits32 ? ZYDIS_MACHINE_MODE_LEGACY_32
                                                               : ZYDIS_MACHINE_MODE_LEGACY_16;
    const ZydisStackWidth stack = mode == CpuMode::Bits64   ? ZYDIS_STACK_WIDTH_64
                                  : mode == CpuMode::Bits32 ? ZYDIS_STACK_WIDTH_32
                                                            : ZYDIS_STACK_WIDTH_16;
    ZydisDecoderInit(&decoder, machine, stack);
    ZydisDecodedInstruction theirs;
    ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
    const bool decoded =
        ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder, data + 1, size - 1, &theirs, operands));
    expect(decoded, "only we accept it");
    expect(ours->length == theirs.length, "length", ours->length, theirs.length);
    expect(same_mnemonic(ours->operation, theirs.mnemonic), "mnemonic",
           static_cast<unsigned>(ours->operation), theirs.mnemonic);
    compare_operands(*ours, theirs, operands, mode);
    return 0;
}
