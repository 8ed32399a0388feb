// SPDX-License-Identifier: Apache-2.0
#include "toolstack/supervisor/crash_report.hpp"

#include <catch2/catch.hpp>
#include <cstring>

#include "abi/start.hpp"

using namespace bulkhead;
using namespace bulkhead::supervisor;

namespace {

// A dead domain whose stack holds a chain of frames.
struct Dead {
    static constexpr uint64_t kBase = abi::kStackTop - (256 << 10);
    std::vector<std::byte> stack = std::vector<std::byte>(256 << 10);
    Crash crash{.domain = "d", .vector = 14, .image_span = 0x10000, .stack_base = kBase};

    Dead() {
        crash.registers.rip = abi::kImageBase + 0x1234;
        crash.registers.fault_address = 0xdead0000;
        crash.registers.rsp = crash.registers.rbp = kBase + 0x1000;
    }
    void word(uint64_t address, uint64_t value) { std::memcpy(stack.data() + (address - kBase), &value, 8); }
    void frame(uint64_t at, uint64_t next, uint64_t caller) {
        word(at, next);
        word(at + 8, caller);
    }
    std::vector<std::string> report() {
        crash.stack = stack;
        return crash_report(crash);
    }
};

}  // namespace

TEST_CASE("crash report: names the fault, the place and the callers") {
    Dead dead;
    dead.frame(Dead::kBase + 0x1000, Dead::kBase + 0x1040, abi::kImageBase + 0x111);
    dead.frame(Dead::kBase + 0x1040, Dead::kBase + 0x1080, abi::kBlobBase + 0x222);
    dead.frame(Dead::kBase + 0x1080, 0, abi::kImageBase + 0x333);
    const auto lines = dead.report();
    CHECK(lines[0] == "supervisor: d died of a page fault at image+0x1234, address 0xdead0000, error code 0");
    CHECK(lines[1] == "  called from: image+0x111 blob+0x222 image+0x333");
    CHECK(lines.size() == 7);
}

TEST_CASE("crash report: guesses what a person would") {
    Dead dead;
    dead.crash.registers.fault_address = 0x18;
    CHECK(dead.report()[0].find("(a null pointer)") != std::string::npos);
    dead.crash.registers.fault_address = Dead::kBase - 8;
    CHECK(dead.report()[0].find("main thread's stack") != std::string::npos);
    dead.crash.registers.rsp = abi::kRuntimeWindow + 0x5000;
    dead.crash.registers.fault_address = abi::kRuntimeWindow + 0x4ff8;
    CHECK(dead.report()[0].find("the thread's stack is used up") != std::string::npos);
    dead.crash.vector = 6;
    CHECK(dead.report()[0].find("an invalid opcode") != std::string::npos);
    dead.crash.vector = 99;
    CHECK(dead.report()[0].find("an unknown exception") != std::string::npos);
}

TEST_CASE("crash report: a call to nowhere begins with who called") {
    Dead dead;
    dead.crash.registers.rip = 0;
    dead.word(Dead::kBase + 0x1000, abi::kImageBase + 0x777);
    dead.crash.registers.rbp = Dead::kBase + 0x1100;
    dead.frame(Dead::kBase + 0x1100, 0, abi::kImageBase + 0x888);
    CHECK(dead.report()[1] == "  called from: image+0x777 image+0x888");
}

TEST_CASE("crash report: a forged stack costs a bounded line") {
    Dead dead;
    // A loop, backwards, beyond the end, unaligned, at the last word.
    for (const uint64_t next : {Dead::kBase + 0x1000, Dead::kBase + 0x10, abi::kStackTop,
                                Dead::kBase + 0x1041, abi::kStackTop - 8, ~uint64_t{0}, uint64_t{0}}) {
        dead.frame(Dead::kBase + 0x1000, next, abi::kImageBase + 0x111);
        CHECK(dead.report()[1].starts_with("  called from: image+0x111"));
    }
    for (uint64_t at = 0; at + 16 <= dead.stack.size(); at += 16)
        dead.frame(Dead::kBase + at, Dead::kBase + at + 16, abi::kImageBase + at % 0x10000);
    dead.crash.registers.rbp = Dead::kBase;
    CHECK(dead.report()[1].size() < 400);
    CHECK(dead.report()[1].ends_with("…"));
    for (uint64_t at = 0; at + 16 <= dead.stack.size(); at += 16)
        dead.frame(Dead::kBase + at, Dead::kBase + at + 16, abi::kImageBase + 5);
    CHECK(dead.report()[1] == "  called from: image+0x5 (16384 times)");
    dead.crash.registers.rbp = abi::kRuntimeWindow + 0x1000;
    CHECK(dead.report()[1].find("a thread other than main") != std::string::npos);
    for (const uint64_t rbp : {uint64_t{0}, uint64_t{8}, abi::kStackTop - 8, abi::kStackTop, Dead::kBase - 8,
                               ~uint64_t{0}, ~uint64_t{7}}) {
        dead.crash.registers.rbp = dead.crash.registers.rsp = dead.crash.registers.rip = rbp;
        CHECK(dead.report().size() == 7);
    }
    dead.crash.stack = {};
    CHECK(crash_report(dead.crash).size() == 7);
}
