// SPDX-License-Identifier: Apache-2.0
#include "services/vmm-stubdom/decoder/mmio_emulator.hpp"

#include <array>
#include <catch2/catch.hpp>
#include <vector>

#include "services/vmm-stubdom/decoder/decoder.hpp"

namespace bulkhead::vmm {
namespace {

struct Device {
    std::uint64_t value = 0;
    unsigned reads = 0, writes = 0, size = 0;
    std::uint64_t read(GuestPhys, unsigned bytes) {
        ++reads;
        size = bytes;
        return value;
    }
    void write(GuestPhys, unsigned bytes, std::uint64_t v) {
        ++writes;
        size = bytes;
        value = v;
    }
};

struct Machine {
    std::array<std::uint64_t, 16> registers{};
    std::uint64_t rflags = 2;
    Device device;

    MmioResult run(std::initializer_list<int> code) {
        std::vector<std::byte> bytes;
        for (const int value : code) bytes.push_back(static_cast<std::byte>(value));
        const auto instruction = decode(bytes, CpuMode::Bits64);
        REQUIRE(instruction);
        return emulate_mmio(*instruction, registers, rflags, GuestPhys(0xfee000b0), device);
    }
};

constexpr std::uint64_t kOld = 0xaaaa'bbbb'cccc'dddd;

// Runs the same ALU operation on the processor that runs the test.
// The stack pointer first steps over the red zone.
#define NATIVE(name, text)                                                                    \
    std::uint64_t name(std::uint32_t a, std::uint32_t b, bool carry, std::uint32_t& result) { \
        std::uint64_t flags = 0;                                                              \
        asm("leaq -128(%%rsp), %%rsp\n\tbt $0, %3\n\t" text                                   \
            " %2, %1\n\tpushfq\n\tpopq %0\n\tleaq 128(%%rsp), %%rsp"                          \
            : "=&r"(flags), "+&r"(a)                                                          \
            : "r"(b), "r"(static_cast<std::uint32_t>(carry))                                  \
            : "cc", "memory");                                                                \
        result = a;                                                                           \
        return flags;                                                                         \
    }
NATIVE(native_add, "addl")
NATIVE(native_adc, "adcl")
NATIVE(native_sub, "subl")
NATIVE(native_sbb, "sbbl")
NATIVE(native_and, "andl")
NATIVE(native_or, "orl")
NATIVE(native_xor, "xorl")
NATIVE(native_cmp, "cmpl")
NATIVE(native_test, "testl")
#undef NATIVE

TEST_CASE("loads write the register by its size") {
    Machine m;
    m.registers[0] = kOld;
    m.device.value = 0x11223344;
    CHECK(m.run({0x8b, 0x07}) == MmioResult::Done);
    CHECK(m.registers[0] == 0x11223344);
    m.registers[0] = kOld;
    (void)m.run({0x66, 0x8b, 0x07});
    CHECK(m.registers[0] == 0xaaaa'bbbb'cccc'3344);
    m.registers[0] = kOld;
    (void)m.run({0x8a, 0x27});  // AH
    CHECK(m.registers[0] == 0xaaaa'bbbb'cccc'44dd);
    m.device.value = 0x80;
    (void)m.run({0x48, 0x0f, 0xbe, 0x07});
    CHECK(m.registers[0] == 0xffff'ffff'ffff'ff80);
    (void)m.run({0x0f, 0xbe, 0x07});
    CHECK(m.registers[0] == 0xffff'ff80);
    (void)m.run({0x0f, 0xb6, 0x07});
    CHECK(m.registers[0] == 0x80);
    CHECK(m.device.writes == 0);
}

TEST_CASE("stores write the device once, by the operand's size") {
    Machine m;
    m.registers[6] = kOld;
    (void)m.run({0x89, 0x37});
    CHECK(m.device.value == 0xcccc'dddd);
    CHECK(m.device.size == 4);
    (void)m.run({0xc7, 0x07, 0xff, 0xff, 0xff, 0xff});
    CHECK(m.device.value == 0xffff'ffff);
    (void)m.run({0x48, 0xc7, 0x07, 0xff, 0xff, 0xff, 0xff});
    CHECK(m.device.value == ~0ULL);
    CHECK(m.device.writes == 3);
    CHECK(m.device.reads == 0);
    (void)m.run({0x87, 0x37});
    CHECK(m.registers[6] == 0xffff'ffff);
    CHECK(m.device.value == 0xcccc'dddd);
}

TEST_CASE("string stores step and repeat; what cannot be done is refused untouched") {
    Machine m;
    m.registers[0] = 7;
    m.registers[1] = 2;
    m.registers[7] = 0x1000;
    CHECK(m.run({0xf3, 0xab}) == MmioResult::Again);
    CHECK(m.registers[7] == 0x1004);
    CHECK(m.run({0xf3, 0xab}) == MmioResult::Done);
    CHECK(m.registers[1] == 0);
    m.rflags |= 1U << 10;
    CHECK(m.run({0xaa}) == MmioResult::Done);
    CHECK(m.registers[7] == 0x1007);
    CHECK(m.run({0xa5}) == MmioResult::Unsupported);
    CHECK(m.run({0x0f, 0xa2}) == MmioResult::Unsupported);
}

TEST_CASE("arithmetic gives the processor's result and flags") {
    struct {
        Operation operation;
        std::uint64_t (*native)(std::uint32_t, std::uint32_t, bool, std::uint32_t&);
        bool adjust_defined;
    } constexpr kCases[] = {{Operation::Add, native_add, true},   {Operation::Adc, native_adc, true},
                            {Operation::Sub, native_sub, true},   {Operation::Sbb, native_sbb, true},
                            {Operation::Cmp, native_cmp, true},   {Operation::And, native_and, false},
                            {Operation::Or, native_or, false},    {Operation::Xor, native_xor, false},
                            {Operation::Test, native_test, false}};
    constexpr std::uint32_t kValues[] = {0, 1, 0xf, 0x10, 0x7fff'ffff, 0x8000'0000, 0xffff'ffff, 0x1234'5678};
    for (const auto& c : kCases) {
        for (const std::uint32_t a : kValues) {
            for (const std::uint32_t b : kValues) {
                for (const bool carry : {false, true}) {
                    INFO(static_cast<int>(c.operation) << " " << a << " " << b << " " << carry);
                    const std::uint64_t mask = c.adjust_defined ? 0x8d5 : 0x8c5;
                    std::uint32_t result = 0;
                    const std::uint64_t flags = c.native(a, b, carry, result);
                    const AluResult ours = execute_alu(c.operation, 4, a, b, carry);
                    CHECK(ours.value == (ours.writes_back ? result : ours.value));
                    CHECK((ours.rflags & mask) == (flags & mask));
                }
            }
        }
    }
}

}  // namespace
}  // namespace bulkhead::vmm
