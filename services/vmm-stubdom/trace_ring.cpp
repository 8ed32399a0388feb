// SPDX-License-Identifier: Apache-2.0
#include "services/vmm-stubdom/trace_ring.hpp"

#include <cstdio>

namespace bulkhead::vmm {

const char* exit_name(abi::ExitReason reason) {
    using enum abi::ExitReason;
    switch (reason) {
        case None: return "none";
        case Notified: return "notified";
        case Timeout: return "timeout";
        case Synced: return "synced";
        case InterruptWindow: return "window";
        case Cpuid: return "cpuid";
        case Hlt: return "hlt";
        case Io: return "io";
        case MsrRead: return "rdmsr";
        case MsrWrite: return "wrmsr";
        case Hypercall: return "hypercall";
        case NestedFault: return "nested fault";
        case Shutdown: return "triple fault";
        case Xsetbv: return "xsetbv";
        case Pause: return "pause";
        case Wbinvd: return "wbinvd";
        case Monitor: return "monitor";
        case VirtInstruction: return "virtualization instruction";
        case Exception: return "exception";
        case Rdtsc: return "rdtsc";
        case Other: return "other";
    }
    return "unknown";
}

std::string TraceRing::dump(unsigned most) const {
    std::string text;
    const uint32_t held = next_ < kEntries ? next_ : kEntries;
    const uint32_t shown = most < held ? most : held;
    for (uint32_t i = next_ - shown; i != next_; ++i) {
        const Entry& e = entries_[i % kEntries];
        char line[96];
        std::snprintf(line, sizeof line, "  %-14s rip %016llx  %llx\n", exit_name(e.reason),
                      static_cast<unsigned long long>(e.rip), static_cast<unsigned long long>(e.detail));
        text += line;
    }
    return text;
}

}  // namespace bulkhead::vmm
