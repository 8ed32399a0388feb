// SPDX-License-Identifier: Apache-2.0
// iommu=, reboot=, spec-ctrl=, ucode=, watchdog
#include "boot/options/handlers.hpp"

namespace bulkhead::boot {
namespace {

using abi::ResetMethod;

// The index in `names` of the boolean that the item sets, and to what; nothing if it is none of them.
struct Named {
    size_t index;
    bool value;
};
template <size_t Count>
std::optional<Named> one_of(const text::Item& item, const std::string_view (&names)[Count]) {
    for (size_t i = 0; i < Count; ++i)
        if (const auto value = text::flag(item, names[i])) return Named{i, *value};
    return std::nullopt;
}

// A word or its beginning, which is how Xen's documentation writes t[riple].
bool abbreviates(std::string_view part, std::string_view whole) {
    return !part.empty() && text::begins(whole, part);
}

}  // namespace

void option_iommu(const Word& word) {
    constexpr std::string_view kDemands[] = {"force", "required"};
    constexpr std::string_view kOthers[] = {
        "verbose",     "debug",           "quarantine", "sharept", "superpages", "intremap",
        "intpost",     "crash-disable",   "snoop",      "qinval",  "igfx",       "amd-iommu-perdev-intremap",
        "dom0-strict", "dom0-passthrough"};
    constexpr const char* kNone = "there is no IOMMU driver yet: devices stay with the kernel, or off";
    if (!word.has_value) return word.unsupported({}, kNone);
    std::string_view rest = word.value;
    do {
        const text::Item item = text::item(text::take(rest, ','));
        if (const auto demand = one_of(item, kDemands)) {
            word.options.iommu_required = demand->value ? 1 : 0;
        } else if (const auto on = text::boolean(item.all)) {
            if (*on) word.unsupported(item.all, kNone);
        } else if (one_of(item, kOthers) || item.all == "quarantine=scratch-page") {
            word.unsupported(item.all, kNone);
        } else {
            word.malformed(item.all,
                           "a list of a boolean, force, required, verbose, debug, ... (Xen's iommu=)");
        }
    } while (!rest.empty());
}

void option_reboot(const Word& word) {
    constexpr const char* kExpected =
        "t[riple], k[bd], a[cpi], p[ci], P[ower] or n[o], then perhaps w[arm] or c[old]";
    constexpr struct {
        std::string_view name;
        ResetMethod method;
    } kMethods[] = {{"triple", ResetMethod::Triple},
                    {"kbd", ResetMethod::Keyboard},
                    {"acpi", ResetMethod::Acpi},
                    {"pci", ResetMethod::Pci},
                    {"Power", ResetMethod::Power}};
    uint8_t never = 0, warm = 0;
    ResetMethod method = ResetMethod::Default;
    std::string_view rest = word.value;
    if (rest.empty()) return word.malformed({}, kExpected);
    while (!rest.empty()) {
        const std::string_view part = text::take(rest, ',');
        bool known = abbreviates(part, "warm") || abbreviates(part, "cold") || abbreviates(part, "no");
        if (abbreviates(part, "warm")) warm = 1;
        if (abbreviates(part, "no")) never = 1;
        for (const auto& one : kMethods)
            if (abbreviates(part, one.name)) method = one.method, known = true;
        if (abbreviates(part, "efi") || abbreviates(part, "xen"))
            return word.unsupported(part, "neither the firmware's nor a hypervisor's reset call is used");
        if (!known) return word.malformed(part, kExpected);
    }
    if (never != 0) word.options.noreboot = 1;
    word.options.warm_reboot = warm;
    word.options.reboot_method = method;
}

void option_spec_ctrl(const Word& word) {
    constexpr std::string_view kAbsent[] = {
        "pv",          "msr-sc",  "rsb",       "verw",        "md-clear",  "ibpb-entry",    "bhb-entry",
        "ibrs",        "stibp",   "ssbd",      "psfd",        "l1d-flush", "branch-harden", "srb-lock",
        "unpriv-mmio", "gds-mit", "div-scrub", "lock-harden", "bhi-dis-s", "bp-spec-reduce"};
    constexpr const char* kBuiltIn = "return trampolines are compiled in and stay";
    std::string_view rest = word.value;
    if (rest.empty()) return word.malformed({}, "a list as no, ibpb=BOOLEAN, bti-thunk=retpoline");
    while (!rest.empty()) {
        const text::Item item = text::item(text::take(rest, ','));
        const auto all = text::boolean(item.all);
        if (item.all == "no-xen" || (all && !*all)) {
            word.options.ibpb = 0;
            word.unsupported(item.all, kBuiltIn);
        } else if (const auto ibpb = text::flag(item, "ibpb")) {
            word.options.ibpb = *ibpb ? 1 : 0;
        } else if (const auto eager = text::flag(item, "eager-fpu")) {
            if (!*eager) word.unsupported(item.all, "the floating-point state is always switched eagerly");
        } else if (item.name == "bti-thunk" || item.name == "bhb-seq") {
            if (item.all != "bti-thunk=retpoline") word.unsupported(item.all, kBuiltIn);
        } else if (const auto absent = one_of(item, kAbsent)) {
            if (absent->value) word.unsupported(item.all, "there is no such mitigation yet");
        } else if (item.name == "hvm" || item.name == "rsb" || item.name == "verw") {
            word.unsupported(item.all, "there are no mitigations that differ by the kind of guest");
        } else {
            word.malformed(item.all, "a list as no, ibpb=BOOLEAN, bti-thunk=retpoline");
        }
    }
}

void option_ucode(const Word& word) {
    constexpr std::string_view kFlags[] = {"scan", "nmi", "allow-same", "digest-check"};
    std::string_view rest = word.value;
    if (rest.empty()) return word.malformed({}, "a list of a module's number, scan, nmi, allow-same");
    while (!rest.empty()) {
        const text::Item item = text::item(text::take(rest, ','));
        const bool negative = text::begins(item.all, "-");
        if (!one_of(item, kFlags) && !text::natural(negative ? text::without(item.all, 1) : item.all))
            return word.malformed(item.all,
                                  "a list of a module's number, scan, nmi, allow-same, digest-check");
    }
    word.unsupported(word.value, "microcode is not loaded yet; let the firmware load it");
}

void option_watchdog(const Word& word) {
    if (word.value == "force") {
        word.options.watchdog = 1;
        return word.unsupported(word.value,
                                "the watchdog runs, and counts no NMIs that could be forced on it");
    }
    const auto chosen = word.has_value ? text::boolean(word.value) : std::optional<bool>{true};
    if (!chosen) return word.malformed(word.value, "force or a boolean");
    word.options.watchdog = *chosen ? 1 : 0;
}

}  // namespace bulkhead::boot
