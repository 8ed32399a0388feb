// SPDX-License-Identifier: Apache-2.0
#include "boot/config/search.hpp"

#include "boot/config/text.hpp"

namespace bulkhead::boot {
namespace {

constexpr std::string_view kEnding = ".cfg";
constexpr std::string_view kFixed[2] = {"bulkhead.cfg", "xen.cfg"};

constexpr bool separates(char c) {
    return c == '.' || c == '-' || c == '_';
}

}  // namespace

ConfigSearch::ConfigSearch(std::string_view loader) {
    if (ends_with_ignoring_case(loader, ".efi")) loader.remove_suffix(4);
    if (loader.size() > kMaxName) return;
    for (const char c : loader) name_[stem_++] = c;
}

std::string_view ConfigSearch::next() {
    if (stem_ > 0) {
        const size_t used = stem_;
        while (stem_ > 0 && !separates(name_[stem_ - 1])) stem_--;
        if (stem_ > 0) stem_--;
        for (size_t i = 0; i < kEnding.size(); i++) name_[used + i] = kEnding[i];
        const std::string_view name{name_, used + kEnding.size()};
        for (size_t i = 0; i < 2; i++)
            tried_[i] |= name.size() == kFixed[i].size() && ends_with_ignoring_case(name, kFixed[i]);
        return name;
    }
    while (fixed_ < 2)
        if (const unsigned at = fixed_++; !tried_[at]) return kFixed[at];
    return {};
}

}  // namespace bulkhead::boot
