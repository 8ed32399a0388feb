// SPDX-License-Identifier: Apache-2.0
// Any text as a command line: no crash, every complaint points into it and has its reason, and what is chosen
// lies within its bounds.
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "boot/options/options.hpp"

using namespace bulkhead;

namespace {

void require(bool condition) {
    if (!condition) std::abort();
}

struct Checked final : boot::Complaints {
    explicit Checked(std::string_view all) : text{all} {}
    bool within(std::string_view part) const {
        return part.data() >= text.data() && part.data() + part.size() <= text.data() + text.size();
    }
    void add(const boot::Complaint& c) override {
        using boot::Problem;
        require(!c.word.empty() && within(c.word));
        require(c.part.empty() || within(c.part) || c.part == "no");  // "no-NAME"
        const bool reason = c.problem == Problem::Malformed || c.problem == Problem::Unsupported;
        require((c.why != nullptr) == reason);
    }
    std::string_view text;
};

void check(const abi::SerialOptions& com) {
    require(com.data_bits >= 5 && com.data_bits <= 8);
    require(com.stop_bits == 1 || com.stop_bits == 2);
    require(com.parity <= abi::Parity::Space);
    require(com.io_base != 0 && com.io_base <= 0xfff8 && com.irq <= 15);
    if (com.baud != 0) require(com.base_baud / com.baud >= 1 && com.base_baud / com.baud <= 0xffff);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    // A copy of exactly this size, so that a byte read beyond the end is seen.
    char* copy = static_cast<char*>(std::malloc(size ? size : 1));
    if (size) std::memcpy(copy, data, size);
    Checked checked{{copy, size}};
    const abi::BootOptions chosen = boot::parse_options(checked.text, checked);
    check(chosen.com[0]), check(chosen.com[1]);
    require(chosen.loglvl <= 4 && chosen.guest_loglvl <= 4);
    require(chosen.conring_size >= 16 << 10 && chosen.conring_size <= 16 << 20);
    require((chosen.conring_size & (chosen.conring_size - 1)) == 0);
    require(chosen.console[3] == abi::ConsoleDevice::None);
    for (const auto& wish : {chosen.dom0_mem, chosen.dom0_mem_min, chosen.dom0_mem_max})
        require(wish.percent < 100 && (wish.given != 0 || (wish.bytes == 0 && wish.percent == 0)));
    std::free(copy);
    return 0;
}
