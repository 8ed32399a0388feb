// SPDX-License-Identifier: Apache-2.0
// What parse_options() calls for one word. Each handler changes the options, or complains and changes nothing
// (lists: nothing but what their other items say).
#pragma once

#include "boot/options/options.hpp"
#include "boot/options/text.hpp"

namespace bulkhead::boot {

struct Word {
    std::string_view all, name;
    std::string_view value;  // "no-NAME": "no"
    bool has_value;
    abi::BootOptions& options;
    Complaints& complaints;

    void malformed(std::string_view part, const char* expected) const {
        complaints.add({Problem::Malformed, all, part, expected});
    }
    void unsupported(std::string_view part, const char* why) const {
        complaints.add({Problem::Unsupported, all, part, why});
    }
    // A boolean option; complains if it is none.
    std::optional<bool> boolean() const {
        const auto chosen = has_value ? text::boolean(value) : std::optional<bool>{true};
        if (!chosen) malformed(value, "a boolean: yes, on, true, enable, 1, or no, off, false, disable, 0");
        return chosen;
    }
};

using Handler = void (*)(const Word&);

// serial.cpp
void option_com1(const Word&);
void option_com2(const Word&);
void option_console(const Word&);
// screen.cpp
void option_vga(const Word&);
// dom0.cpp
void option_dom0_mem(const Word&);
void option_dom0_max_vcpus(const Word&);
void option_dom0_vcpus_pin(const Word&);
// hardware.cpp
void option_iommu(const Word&);
void option_reboot(const Word&);
void option_spec_ctrl(const Word&);
void option_ucode(const Word&);
void option_watchdog(const Word&);

// xen_names.cpp
bool is_xens_option(std::string_view name);

}  // namespace bulkhead::boot
