// SPDX-License-Identifier: Apache-2.0
#include "toolstack/supervisor/crash_report.hpp"

#include <array>
#include <cstdio>
#include <cstring>
#include <optional>

#include "abi/start.hpp"
#include "toolstack/supervisor/domain.hpp"

namespace bulkhead::supervisor {
namespace {

constexpr uint64_t kPageFault = 14;
constexpr uint64_t kBlobSpan = 1 << 20;
constexpr uint64_t kGuardReach = 64 << 10;  // how far below a stack its overflow may touch

constexpr std::array kExceptions{"a divide error",
                                 "a debug exception",
                                 "an NMI",
                                 "a breakpoint",
                                 "an overflow",
                                 "an exceeded bound",
                                 "an invalid opcode",
                                 "a missing FPU",
                                 "a double fault",
                                 "exception 9",
                                 "an invalid TSS",
                                 "a missing segment",
                                 "a stack fault",
                                 "a general protection fault",
                                 "a page fault",
                                 "exception 15",
                                 "an x87 error",
                                 "an alignment check",
                                 "a machine check",
                                 "a SIMD error"};

template <typename... Arguments>
std::string text(const char* format, Arguments... arguments) {
    char line[256];
    std::snprintf(line, sizeof line, format, arguments...);
    return line;
}

bool is_code(uint64_t address, uint64_t image_span) {
    return address - abi::kImageBase < image_span || address - abi::kBlobBase < kBlobSpan;
}
bool in_runtime_window(uint64_t address) {
    return address - abi::kRuntimeWindow < abi::kRuntimeWindowSize;
}

// What a person would guess from the address.
const char* guess(const Crash& crash) {
    const uint64_t address = crash.registers.fault_address, rsp = crash.registers.rsp;
    if (crash.vector != kPageFault) return "";
    if (address < abi::kPageSize) return " (a null pointer)";
    if (crash.stack_base - address <= kGuardReach) return " (the main thread's stack of 256 KiB is used up)";
    if (in_runtime_window(rsp) && address + kGuardReach >= rsp && address <= rsp + abi::kPageSize)
        return " (the thread's stack is used up)";
    return "";
}

class Walker {
  public:
    explicit Walker(const Crash& crash) : crash_{crash} {}

    std::string trace() {
        const abi::ThreadRegisters& r = crash_.registers;
        // A call to nowhere: the caller's address is on top of the stack.
        if (!is_code(r.rip, crash_.image_span))
            if (const auto caller = word(r.rsp); caller && is_code(*caller, crash_.image_span)) add(*caller);
        for (uint64_t frame = r.rbp, last = 0, steps = 0; steps < kMaxSteps; steps++) {
            const auto next = word(frame), caller = word(frame + 8);
            if (!next || !caller || frame <= last) {
                if (in_runtime_window(frame))
                    line_ += " … (the stack of a thread other than main, which the supervisor cannot read)";
                break;
            }
            if (!is_code(*caller, crash_.image_span)) break;
            if (!add(*caller)) break;
            last = frame;
            frame = *next;
        }
        end_run();
        return line_;
    }

  private:
    static constexpr uint64_t kMaxSteps = kStackBytes / 16;

    // Equal callers in a row are one entry. False: enough said.
    bool add(uint64_t caller) {
        if (run_ != 0 && caller == caller_) return ++run_, true;
        end_run();
        if (entries_++ == kMaxStackFrames) return line_ += " …", false;
        line_ += ' ' + describe_code(caller, crash_.image_span);
        caller_ = caller;
        run_ = 1;
        return true;
    }
    void end_run() {
        if (run_ > 1) line_ += text(" (%lu times)", run_);
        run_ = 0;
    }

    std::optional<uint64_t> word(uint64_t address) const {
        const uint64_t offset = address - crash_.stack_base;
        if (address % 8 != 0 || address < crash_.stack_base || crash_.stack.size() < 8 ||
            offset > crash_.stack.size() - 8)
            return std::nullopt;
        uint64_t value;
        std::memcpy(&value, crash_.stack.data() + offset, sizeof value);
        return value;
    }

    const Crash& crash_;
    std::string line_ = "  called from:";
    unsigned entries_ = 0;
    uint64_t caller_ = 0, run_ = 0;
};

}  // namespace

std::string describe_code(uint64_t address, uint64_t image_span) {
    if (address - abi::kImageBase < image_span) return text("image+%#lx", address - abi::kImageBase);
    if (address - abi::kBlobBase < kBlobSpan) return text("blob+%#lx", address - abi::kBlobBase);
    return text("%#lx", address);
}

std::vector<std::string> crash_report(const Crash& crash) {
    const abi::ThreadRegisters& r = crash.registers;
    const char* what = crash.vector < kExceptions.size() ? kExceptions[crash.vector] : "an unknown exception";
    std::vector<std::string> lines;
    lines.push_back("supervisor: " + std::string{crash.domain} + " died of " + what + " at " +
                    describe_code(r.rip, crash.image_span) +
                    (crash.vector == kPageFault ? text(", address %#lx", r.fault_address) : std::string{}) +
                    text(", error code %#lx", r.fault_error) + guess(crash));
    lines.push_back(Walker{crash}.trace());
    lines.push_back(text("  rax %016lx rbx %016lx rcx %016lx rdx %016lx", r.rax, r.rbx, r.rcx, r.rdx));
    lines.push_back(text("  rsi %016lx rdi %016lx rbp %016lx rsp %016lx", r.rsi, r.rdi, r.rbp, r.rsp));
    lines.push_back(text("  r8  %016lx r9  %016lx r10 %016lx r11 %016lx", r.r8, r.r9, r.r10, r.r11));
    lines.push_back(text("  r12 %016lx r13 %016lx r14 %016lx r15 %016lx", r.r12, r.r13, r.r14, r.r15));
    lines.push_back(text("  rip %016lx rflags %lx fs %016lx", r.rip, r.rflags, r.fs_base));
    return lines;
}

}  // namespace bulkhead::supervisor
