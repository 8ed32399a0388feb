// SPDX-License-Identifier: Apache-2.0
#include "services/vmm-stubdom/decoder/decoder.hpp"

#include <cstring>

#include "services/vmm-stubdom/decoder/opcode_table.hpp"

namespace bulkhead::vmm {
namespace {

constexpr std::uint8_t kRsp = 4, kRbp = 5, kRsi = 6, kRdi = 7, kRbx = 3;
constexpr std::uint8_t kRexW = 8, kRexR = 4, kRexX = 2, kRexB = 1;

// One instruction on its way from bytes to `Instruction`. Reading past the end latches `failed_` and gives
// zeroes.
class Decoding {
  public:
    Decoding(std::span<const std::byte> bytes, CpuMode mode)
        : bytes_(bytes.first(bytes.size() < kMaxInstructionBytes ? bytes.size() : kMaxInstructionBytes)),
          mode_(mode) {}

    [[nodiscard]] std::optional<Instruction> run() {
        read_prefixes();
        opcode_ = take();
        Opcode entry = kOneByteOpcodes[opcode_];
        if (opcode_ == 0x0f) {
            opcode_ = take();
            entry = kTwoByteOpcodes[opcode_];
        }
        out_.operation = entry.operation;
        if (!decode_operands(entry.encoding) || failed_) return std::nullopt;
        if (out_.lock && !may_lock()) return std::nullopt;
        out_.length = static_cast<std::uint8_t>(at_);
        return out_;
    }

  private:
    std::uint8_t take() {
        if (at_ >= bytes_.size()) {
            failed_ = true;
            return 0;
        }
        return std::to_integer<std::uint8_t>(bytes_[at_++]);
    }
    // A little-endian signed number of 1, 2, 4 or 8 bytes.
    std::int64_t take_signed(unsigned size) {
        std::uint64_t value = 0;
        for (unsigned i = 0; i < size; ++i) value |= std::uint64_t{take()} << (8 * i);
        const unsigned shift = 64 - 8 * size;
        return static_cast<std::int64_t>(value << shift) >> shift;
    }

    void read_prefixes() {
        bool operand_override = false;
        bool address_override = false;
        for (;;) {
            const std::uint8_t byte = take();
            if (failed_) return;
            if (mode_ == CpuMode::Bits64 && (byte & 0xf0) == 0x40) {
                rex_ = byte;
                has_rex_ = true;
                continue;
            }
            if (!legacy_prefix(byte, operand_override, address_override)) break;
            rex_ = 0;  // a REX prefix that does not come last counts for nothing
            has_rex_ = false;
        }
        --at_;
        operand_prefix_ = operand_override;
        switch (mode_) {
            case CpuMode::Bits16:
                operand_size_ = operand_override ? 4 : 2;
                out_.memory.address_size = address_override ? 4 : 2;
                break;
            case CpuMode::Bits32:
                operand_size_ = operand_override ? 2 : 4;
                out_.memory.address_size = address_override ? 2 : 4;
                break;
            case CpuMode::Bits64:
                operand_size_ = rex_ & kRexW ? 8 : operand_override ? 2 : 4;
                out_.memory.address_size = address_override ? 4 : 8;
                break;
        }
    }

    bool legacy_prefix(std::uint8_t byte, bool& operand_override, bool& address_override) {
        switch (byte) {
            case 0x66: operand_override = true; return true;
            case 0x67: address_override = true; return true;
            case 0xf0: out_.lock = true; return true;
            case 0xf2:
                out_.repne = true;
                out_.rep = false;
                return true;
            case 0xf3:
                out_.rep = true;
                out_.repne = false;
                return true;
            case 0x26: return override_segment(Segment::Es);
            case 0x2e: return override_segment(Segment::Cs);
            case 0x36: return override_segment(Segment::Ss);
            case 0x3e: return override_segment(Segment::Ds);
            case 0x64: return override_segment(Segment::Fs);
            case 0x65: return override_segment(Segment::Gs);
            default: return false;
        }
    }
    bool override_segment(Segment segment) {
        // In 64-bit mode the other four are ignored.
        if (mode_ != CpuMode::Bits64 || segment == Segment::Fs || segment == Segment::Gs) override_ = segment;
        return true;
    }

    [[nodiscard]] unsigned width() const { return opcode_ & 1 ? operand_size_ : 1U; }
    static std::uint8_t byte_of(unsigned value) { return static_cast<std::uint8_t>(value); }
    [[nodiscard]] bool any_mandatory_prefix() const { return operand_prefix_ || out_.rep || out_.repne; }

    void take_modrm() {
        const std::uint8_t modrm = take();
        mod_ = modrm >> 6;
        middle_ = modrm >> 3 & 7;
        low_ = modrm & 7;
    }

    [[nodiscard]] bool decode_operands(Encoding encoding) {
        switch (encoding) {
            case Encoding::Unknown: return false;
            case Encoding::Plain: return decode_plain();
            case Encoding::StoreW:
                return decode_register_memory(Operands::MemoryFromRegister, width(), width());
            case Encoding::LoadW:
                return decode_register_memory(Operands::RegisterFromMemory, width(), width());
            case Encoding::Extend:
                return decode_register_memory(Operands::RegisterFromMemory, opcode_ & 1 ? 2 : 1,
                                              operand_size_);
            case Encoding::ExtendDword:
                if (mode_ != CpuMode::Bits64 || operand_size_ != 8) return false;
                return decode_register_memory(Operands::RegisterFromMemory, 4, operand_size_);
            case Encoding::Group1:
            case Encoding::MovImmediateW:
            case Encoding::TestImmediateW: return decode_memory_immediate(encoding);
            case Encoding::MoffsLoadW: return decode_moffs(Operands::RegisterFromMemory);
            case Encoding::MoffsStoreW: return decode_moffs(Operands::MemoryFromRegister);
            case Encoding::StringSourceW: return decode_string(kRsi);
            case Encoding::StringTargetW: return decode_string(kRdi);
            case Encoding::PortImmediateW: return decode_port(Operands::PortImmediate);
            case Encoding::PortDxW: return decode_port(Operands::PortDx);
            case Encoding::ImmediateByte:
                out_.operands = Operands::Immediate;
                out_.immediate = take();
                return true;
            case Encoding::PauseOnly: return out_.rep && !(rex_ & kRexB);
            case Encoding::SystemMove: return decode_system_move();
            case Encoding::Group0f01: return decode_group_0f01();
        }
        return false;
    }

    [[nodiscard]] bool decode_plain() {
        if (out_.operation == Operation::Wbinvd && out_.rep) out_.operation = Operation::Wbnoinvd;
        return true;
    }

    void set_register(std::uint8_t number, unsigned size) {
        out_.register_size = byte_of(size);
        out_.high_byte = size == 1 && !has_rex_ && number >= 4;
        out_.reg = out_.high_byte ? byte_of(number - 4U) : number;
    }

    [[nodiscard]] bool decode_register_memory(Operands operands, unsigned memory_size,
                                              unsigned register_size) {
        take_modrm();
        if (mod_ == 3) return false;
        out_.operands = operands;
        out_.memory_size = byte_of(memory_size);
        set_register(byte_of(middle_ | (rex_ & kRexR ? 8U : 0U)), register_size);
        take_memory();
        return true;
    }

    [[nodiscard]] bool decode_memory_immediate(Encoding encoding) {
        static constexpr Operation kGroup1[] = {Operation::Add, Operation::Or,  Operation::Adc,
                                                Operation::Sbb, Operation::And, Operation::Sub,
                                                Operation::Xor, Operation::Cmp};
        take_modrm();
        if (mod_ == 3) return false;
        if (encoding == Encoding::Group1) {
            out_.operation = kGroup1[middle_];
        } else if (middle_ != 0) {
            return false;
        }
        out_.operands = Operands::MemoryFromImmediate;
        out_.memory_size = byte_of(width());
        take_memory();
        const unsigned size = opcode_ == 0x83 ? 1 : width() > 4 ? 4 : width();
        out_.immediate = take_signed(size);
        return true;
    }

    [[nodiscard]] bool decode_moffs(Operands operands) {
        out_.operands = operands;
        out_.memory_size = byte_of(width());
        set_register(0, width());
        const unsigned size = out_.memory.address_size;
        out_.memory.displacement = take_signed(size);
        if (size < 8) out_.memory.displacement &= (1LL << (8 * size)) - 1;
        out_.memory.segment = override_.value_or(Segment::Ds);
        return true;
    }

    [[nodiscard]] bool decode_string(std::uint8_t pointer) {
        out_.operands = Operands::String;
        const bool port = out_.operation == Operation::Ins || out_.operation == Operation::Outs;
        const unsigned size = port && width() == 8 ? 4 : width();
        out_.memory_size = byte_of(size);
        out_.memory.base = pointer;
        out_.memory.segment = pointer == kRdi ? Segment::Es : override_.value_or(Segment::Ds);
        if (out_.operation == Operation::Stos || out_.operation == Operation::Lods) set_register(0, size);
        return true;
    }

    [[nodiscard]] bool decode_port(Operands operands) {
        out_.operands = operands;
        const unsigned size = width() == 8 ? 4 : width();
        out_.memory_size = byte_of(size);
        set_register(0, size);
        if (operands == Operands::PortImmediate) out_.immediate = take();
        return true;
    }

    [[nodiscard]] bool decode_system_move() {
        take_modrm();
        out_.operands = Operands::SystemRegister;
        out_.register_size = mode_ == CpuMode::Bits64 ? 8 : 4;
        out_.reg = byte_of(low_ | (rex_ & kRexB ? 8U : 0U));
        const unsigned number = middle_ | (rex_ & kRexR ? 8U : 0U);
        out_.immediate = number;
        const bool control = (opcode_ & 1) == 0;
        return control ? number == 0 || number == 2 || number == 3 || number == 4 || number == 8 : number < 8;
    }

    [[nodiscard]] bool decode_group_0f01() {
        take_modrm();
        if (mod_ != 3) {
            if (middle_ != 7) return false;
            out_.operands = Operands::Address;
            take_memory();
            return true;
        }
        const Opcode entry = kGroup0f01[middle_ * 8U + low_];
        // With a prefix these are other instructions (F3 0F 01 D9 is VMGEXIT) or none.
        if (entry.encoding == Encoding::Unknown || any_mandatory_prefix()) return false;
        out_.operation = entry.operation;
        return true;
    }

    void take_memory() {
        if (out_.memory.address_size == 2) {
            take_memory16();
        } else {
            take_memory32();
        }
        const bool stack = out_.memory.base == kRsp || out_.memory.base == kRbp;
        out_.memory.segment = override_.value_or(stack ? Segment::Ss : Segment::Ds);
    }

    void take_memory16() {
        static constexpr std::uint8_t kBase[] = {kRbx, kRbx, kRbp, kRbp, kRsi, kRdi, kRbp, kRbx};
        static constexpr std::uint8_t kIndex[] = {kRsi,        kRdi,        kRsi,        kRdi,
                                                  kNoRegister, kNoRegister, kNoRegister, kNoRegister};
        MemoryOperand& memory = out_.memory;
        if (mod_ == 0 && low_ == 6) {
            memory.displacement = take_signed(2) & 0xffff;
            return;
        }
        memory.base = kBase[low_];
        memory.index = kIndex[low_];
        if (mod_ != 0) memory.displacement = take_signed(mod_ == 1 ? 1 : 2);
    }

    void take_memory32() {
        MemoryOperand& memory = out_.memory;
        bool displacement_only = mod_ == 0 && low_ == 5;
        if (low_ == 4) {
            const std::uint8_t sib = take();
            const unsigned index = (sib >> 3 & 7U) | (rex_ & kRexX ? 8U : 0U);
            if (index != 4) {
                memory.index = byte_of(index);
                memory.scale = byte_of(1U << (sib >> 6));
            }
            displacement_only = mod_ == 0 && (sib & 7) == 5;
            if (!displacement_only) memory.base = byte_of((sib & 7U) | (rex_ & kRexB ? 8U : 0U));
        } else if (displacement_only) {
            memory.rip_relative = mode_ == CpuMode::Bits64;
        } else {
            memory.base = byte_of(low_ | (rex_ & kRexB ? 8U : 0U));
        }
        if (mod_ == 1) memory.displacement = take_signed(1);
        if (mod_ == 2 || displacement_only) memory.displacement = take_signed(4);
    }

    // LOCK is legal on a read-modify-write of memory only.
    [[nodiscard]] bool may_lock() const {
        const Operation operation = out_.operation;
        if (operation == Operation::Xchg) return true;
        if (operation < Operation::Add || operation > Operation::Xor) return false;
        return out_.operands == Operands::MemoryFromRegister ||
               out_.operands == Operands::MemoryFromImmediate;
    }

    std::span<const std::byte> bytes_;
    CpuMode mode_;
    std::size_t at_ = 0;
    bool failed_ = false;
    bool has_rex_ = false;
    bool operand_prefix_ = false;
    std::uint8_t rex_ = 0;
    std::uint8_t opcode_ = 0;
    unsigned operand_size_ = 4;
    std::uint8_t mod_ = 0, middle_ = 0, low_ = 0;
    std::optional<Segment> override_;
    Instruction out_;
};

}  // namespace

std::optional<Instruction> decode(std::span<const std::byte> bytes, CpuMode mode) {
    return Decoding(bytes, mode).run();
}

std::uint64_t effective_offset(const Instruction& instruction, std::span<const std::uint64_t, 16> registers,
                               std::uint64_t rip) {
    const MemoryOperand& memory = instruction.memory;
    std::uint64_t offset = static_cast<std::uint64_t>(memory.displacement);
    if (memory.base != kNoRegister) offset += registers[memory.base & 15];
    if (memory.index != kNoRegister) offset += registers[memory.index & 15] * memory.scale;
    if (memory.rip_relative) offset += rip + instruction.length;
    return memory.address_size == 8 ? offset : offset & ((1ULL << (8 * memory.address_size)) - 1);
}

}  // namespace bulkhead::vmm
