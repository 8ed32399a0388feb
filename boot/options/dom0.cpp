// SPDX-License-Identifier: Apache-2.0
// dom0_mem=, dom0_max_vcpus=, dom0_vcpus_pin
#include "boot/options/handlers.hpp"

namespace bulkhead::boot {
namespace {

using abi::MemoryWish;

constexpr const char* kSize =
    "a list of SIZE, min:SIZE, max:SIZE, where SIZE is as 512M, -256M, 5% or 512M+5%";

std::optional<MemoryWish> wish(std::string_view text) {
    MemoryWish out{.bytes = 0, .percent = 0, .given = 1};
    if (text::ends(text, "%")) {
        text.remove_suffix(1);
        const size_t plus = text::find(text, '+');
        const bool both = plus < text.size();
        const auto percent = text::natural(both ? text::without(text, plus + 1) : text, 0, 99);
        if (!percent) return std::nullopt;
        out.percent = *percent;
        if (!both) return out;
        text = text::first(text, plus);
    }
    const bool negative = text::begins(text, "-");
    const auto bytes = text::size(negative ? text::without(text, 1) : text);
    if (!bytes || *bytes > uint64_t{1} << 62) return std::nullopt;
    out.bytes = negative ? -static_cast<int64_t>(*bytes) : static_cast<int64_t>(*bytes);
    return out;
}

}  // namespace

void option_dom0_mem(const Word& word) {
    MemoryWish exact{}, least{}, most{};
    std::string_view rest = word.value;
    if (rest.empty()) return word.malformed({}, kSize);
    while (!rest.empty()) {
        const std::string_view part = text::take(rest, ',');
        const bool is_min = text::begins(part, "min:"), is_max = text::begins(part, "max:");
        const auto parsed = wish(is_min || is_max ? text::without(part, 4) : part);
        if (!parsed) return word.malformed(part, kSize);
        (is_min ? least : is_max ? most : exact) = *parsed;
    }
    word.options.dom0_mem = exact;
    word.options.dom0_mem_min = least;
    word.options.dom0_mem_max = most;
}

void option_dom0_max_vcpus(const Word& word) {
    constexpr const char* kExpected = "a number of vCPUs, or MIN-MAX";
    const size_t dash = text::find(word.value, '-');
    const bool range = dash < word.value.size();
    const std::string_view low = text::first(word.value, dash), high = text::without(word.value, dash + 1);
    const bool low_ok = (range && low.empty()) || text::natural(low, 1, 4096);
    const bool high_ok = !range || high.empty() || text::natural(high, 1, 4096);
    if (!low_ok || !high_ok || (low.empty() && high.empty())) return word.malformed(word.value, kExpected);
    if (range || low != "1") word.unsupported(word.value, "dom0 is one thread here, and needs no vCPUs");
}

void option_dom0_vcpus_pin(const Word& word) {
    const auto pin = word.boolean();
    if (pin && *pin)
        word.unsupported({}, "dom0 is one thread here, and stays on the CPU that the manifest names");
}

}  // namespace bulkhead::boot
