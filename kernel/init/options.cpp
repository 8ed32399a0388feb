// SPDX-License-Identifier: Apache-2.0
#include "kernel/init/options.hpp"

#include "boot/options/options.hpp"
#include "kernel/arch/x86_64/memory.hpp"
#include "kernel/arch/x86_64/print.hpp"
#include "kernel/arch/x86_64/svm/svm.hpp"
#include "kernel/arch/x86_64/uart.hpp"
#include "kernel/core/log.hpp"

namespace bulkhead::init {
namespace {

using arch::kpanic_print;
using boot::Complaint;
using boot::Problem;

// Told whatever loglvl= says.
struct Told final : boot::Complaints {
    void add(const Complaint& c) override {
        const bool known = c.problem == Problem::Malformed || c.problem == Problem::Unsupported;
        const bool whole = c.part.empty() || !known;
        const std::string_view part = whole ? std::string_view{} : c.part;
        kpanic_print("kernel: option '", c.word, whole ? "' is " : "': '", part, whole ? "" : "' is ",
                     verdict(c.problem), known ? c.why : "", "\n");
    }

  private:
    static const char* verdict(Problem problem) {
        switch (problem) {
            case Problem::Unknown: return "unknown and ignored; docs/options.md lists what there is";
            case Problem::XensOnly: return "one of Xen's that Bulkhead does not have; it is ignored";
            case Problem::Unsupported: return "not supported: ";
            case Problem::Malformed: return "not understood and ignored; expected: ";
        }
        return "";
    }
};

}  // namespace

void choose_options(abi::BootInfo& info) {
    info.options[sizeof(info.options) - 1] = '\0';
    const std::string_view line{info.options};
    // The console to tell complaints on is itself chosen by the options: they are read twice.
    boot::NoComplaints untold;
    info.chosen = boot::parse_options(line, untold);
    arch::uart_setup(info.chosen);
    core::log_choose(info.chosen.loglvl, info.chosen.guest_loglvl, info.chosen.sync_console != 0);
    kpanic_print("bulkhead ", BULKHEAD_VERSION, "\n");
    Told told;
    (void)boot::parse_options(line, told);
    if (info.chosen.iommu_required != 0)
        arch::panic(
            "option 'iommu=required': there is no IOMMU driver yet; leave the option out to boot without");
    arch::svm::use_ibpb(info.chosen.ibpb != 0);
}

void compare_screen(const abi::BootInfo& info) {
    const abi::BootFramebuffer& screen = info.framebuffer;
    if (boot::is_met(info.chosen.vga, screen)) return;
    if (screen.width == 0) return kpanic_print("kernel: option 'vga=': there is no screen\n");
    kpanic_print("kernel: option 'vga=': the loader left the screen at ", uint64_t{screen.width}, "x",
                 uint64_t{screen.height}, screen.text != 0 ? " characters" : " pixels",
                 " and only a loader can change it (docs/options.md)\n");
}

void move_log(const abi::BootOptions& chosen, EarlyMemory& memory) {
    auto* text = static_cast<char*>(arch::direct(memory.pages(chosen.conring_size / abi::kPageSize)));
    core::log_move(text, chosen.conring_size);
    if (chosen.conring_size != abi::default_options().conring_size)
        arch::klog(abi::LogLevel::Info, "kernel: the log keeps ", chosen.conring_size >> 10, " KiB\n");
}

}  // namespace bulkhead::init
