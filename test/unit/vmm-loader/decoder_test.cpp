// SPDX-License-Identifier: Apache-2.0
#include "services/vmm-stubdom/decoder/decoder.hpp"

#include <catch2/catch.hpp>
#include <vector>

#include "services/vmm-stubdom/decoder/decode_cache.hpp"

namespace bulkhead::vmm {
namespace {

std::vector<std::byte> bytes(std::initializer_list<int> list) {
    std::vector<std::byte> result;
    for (const int value : list) result.push_back(static_cast<std::byte>(value));
    return result;
}

std::optional<Instruction> decode64(std::initializer_list<int> list) {
    return decode(bytes(list), CpuMode::Bits64);
}

TEST_CASE("Linux's accesses to the LAPIC decode: disp32 from RDI, and SIB absolute") {
    const auto load = decode64({0x8b, 0x87, 0xf0, 0x00, 0x00, 0x00});  // mov 0xf0(%rdi), %eax
    REQUIRE(load);
    CHECK(load->operation == Operation::Mov);
    CHECK(load->operands == Operands::RegisterFromMemory);
    CHECK(load->length == 6);
    CHECK(load->memory_size == 4);
    CHECK(load->register_size == 4);
    CHECK(load->reg == 0);
    CHECK(load->memory.base == 7);
    CHECK(load->memory.displacement == 0xf0);
    const auto store = decode64({0x89, 0x34, 0x25, 0xb0, 0xb0, 0x5f, 0xff});  // mov %esi, 0xffffffffff5fb0b0
    REQUIRE(store);
    CHECK(store->operands == Operands::MemoryFromRegister);
    CHECK(store->length == 7);
    CHECK(store->reg == 6);
    CHECK(store->memory.base == kNoRegister);
    CHECK(store->memory.index == kNoRegister);
    std::array<std::uint64_t, 16> registers{};
    CHECK(effective_offset(*store, registers, 0) == 0xffff'ffff'ff5f'b0b0);
    registers[7] = 0xffff'c900'0000'0000;
    CHECK(effective_offset(*load, registers, 0) == 0xffff'c900'0000'00f0);
}

TEST_CASE("instructions that exit have their length, with prefixes") {
    CHECK(decode64({0x0f, 0xa2})->operation == Operation::Cpuid);
    CHECK(decode64({0x66, 0x48, 0x0f, 0xa2})->length == 4);
    CHECK(decode64({0x0f, 0x01, 0xd9})->operation == Operation::Vmmcall);
    CHECK(decode64({0x0f, 0x01, 0xc1})->operation == Operation::Vmcall);
    CHECK(decode64({0x0f, 0x01, 0xd1})->operation == Operation::Xsetbv);
    CHECK(decode64({0xf4})->length == 1);
    CHECK(decode64({0xf3, 0x90})->operation == Operation::Pause);
    CHECK(decode64({0x0f, 0x30})->operation == Operation::Wrmsr);
    CHECK(decode64({0x0f, 0x32})->operation == Operation::Rdmsr);
    CHECK(decode64({0x0f, 0x09})->operation == Operation::Wbinvd);
    CHECK(decode64({0x0f, 0x01, 0xf9})->operation == Operation::Rdtscp);
    const auto in = decode64({0xe4, 0x42});
    CHECK(in->operands == Operands::PortImmediate);
    CHECK(in->immediate == 0x42);
    CHECK(in->memory_size == 1);
    const auto out = decode(bytes({0x66, 0xef}), CpuMode::Bits16);
    CHECK(out->operands == Operands::PortDx);
    CHECK(out->memory_size == 4);
    const auto outs = decode64({0xf3, 0x6e});
    CHECK(outs->operands == Operands::String);
    CHECK(outs->rep);
}

TEST_CASE("operands: high bytes, REX registers, sizes, immediates") {
    CHECK(decode64({0x88, 0x20})->high_byte);  // mov %ah, (%rax)
    CHECK(decode64({0x88, 0x20})->reg == 0);
    CHECK_FALSE(decode64({0x40, 0x88, 0x20})->high_byte);  // mov %spl, (%rax)
    CHECK(decode64({0x40, 0x88, 0x20})->reg == 4);
    CHECK(decode64({0x4c, 0x89, 0x38})->reg == 15);
    CHECK(decode64({0x4c, 0x89, 0x38})->memory_size == 8);
    CHECK(decode64({0x66, 0x89, 0x38})->memory_size == 2);
    const auto immediate = decode64({0x48, 0xc7, 0x00, 0xff, 0xff, 0xff, 0xff});
    CHECK(immediate->immediate == -1);
    CHECK(immediate->memory_size == 8);
    const auto extend = decode64({0x48, 0x0f, 0xbe, 0x00});
    CHECK(extend->operation == Operation::MovSignExtend);
    CHECK(extend->memory_size == 1);
    CHECK(extend->register_size == 8);
    const auto relative = decode64({0x8b, 0x05, 0x10, 0x00, 0x00, 0x00});
    CHECK(relative->memory.rip_relative);
    CHECK(effective_offset(*relative, std::array<std::uint64_t, 16>{}, 0x1000) == 0x1016);
    const auto moffs = decode64({0xa1, 0xb0, 0, 0xe0, 0xfe, 0, 0, 0, 0});
    CHECK(moffs->memory.displacement == 0xfee000b0);
    CHECK(moffs->length == 9);
    const auto bp = decode(bytes({0x8b, 0x42, 0xfe}), CpuMode::Bits16);  // mov -2(%bp,%si), %ax
    CHECK(bp->memory.segment == Segment::Ss);
    std::array<std::uint64_t, 16> registers{};
    registers[5] = 1;
    CHECK(effective_offset(*bp, registers, 0) == 0xffff);
    CHECK(decode64({0xf0, 0x83, 0x08, 0x01})->lock);
    CHECK(decode64({0x64, 0x8b, 0x00})->memory.segment == Segment::Fs);
}

TEST_CASE("what cannot exit, is illegal or cut short is refused") {
    CHECK_FALSE(decode64({}));
    CHECK_FALSE(decode64({0x90}));
    CHECK_FALSE(decode64({0x89, 0xc0}));                        // register to register
    CHECK_FALSE(decode64({0x8b, 0x87, 0xf0, 0x00}));            // displacement missing
    CHECK_FALSE(decode64({0xf0, 0x89, 0x00}));                  // LOCK MOV
    CHECK_FALSE(decode64({0xf0, 0x0f, 0xa2}));                  // LOCK CPUID
    CHECK_FALSE(decode64({0xf3, 0x0f, 0x01, 0xd9}));            // VMGEXIT
    CHECK_FALSE(decode64({0x0f, 0x20, 0xc8}));                  // CR1
    CHECK_FALSE(decode64({0xc6, 0x48, 0x00, 0x00}));            // C6 /1
    CHECK_FALSE(decode64({0x63, 0x00}));                        // MOVSXD without REX.W
    CHECK_FALSE(decode(bytes({0x63, 0x00}), CpuMode::Bits32));  // ARPL
    CHECK_FALSE(decode(std::vector<std::byte>(20, std::byte{0x66}), CpuMode::Bits64));
    std::vector<std::byte> longest(14, std::byte{0x66});
    longest.push_back(std::byte{0xf4});
    CHECK(decode(longest, CpuMode::Bits64)->length == 15);
    longest.insert(longest.begin(), std::byte{0x66});
    CHECK_FALSE(decode(longest, CpuMode::Bits64));
}

TEST_CASE("the cache notices that the code changed") {
    DecodeCache cache;
    CHECK(cache.decode(0x1000, 0x2000, CpuMode::Bits64, bytes({0x0f, 0xa2}))->operation == Operation::Cpuid);
    CHECK(cache.decode(0x1000, 0x2000, CpuMode::Bits64, bytes({0x0f, 0xa2, 0x90}))->operation ==
          Operation::Cpuid);
    CHECK(cache.decode(0x1000, 0x2000, CpuMode::Bits64, bytes({0xf4, 0xa2}))->operation == Operation::Hlt);
    CHECK_FALSE(cache.decode(0x1000, 0x2000, CpuMode::Bits64, bytes({0x0f})));
    CHECK(cache.decode(0x1000, 0x2000, CpuMode::Bits64, bytes({0x48, 0x89, 0x00}))->memory_size == 8);
    CHECK_FALSE(cache.decode(0x1000, 0x2000, CpuMode::Bits32, bytes({0x48, 0x89, 0x00})));
}

}  // namespace
}  // namespace bulkhead::vmm
