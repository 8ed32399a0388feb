// SPDX-License-Identifier: Apache-2.0
#include "services/platform/power_button.hpp"

namespace bulkhead::platform {
namespace {

constexpr uint32_t kButton = 1 << 8;     // in PM1 status and enable
constexpr uint32_t kAllStatus = 0xcf31;  // every defined status bit; writing 1 clears (ACPI 6.4, table 4.15)
constexpr uint32_t kSciEnabled = 1;      // in PM1 control: ACPI mode

}  // namespace

std::string PowerButton::check() const {
    if (!blocks_.event) return "the firmware names no ACPI event registers";
    if (blocks_.event.extra & 1)
        return "the firmware describes it as a device in AML, which Bulkhead does not interpret";
    if (!blocks_.control) return "the firmware names no PM1 control register";
    return {};
}

bool PowerButton::in_acpi_mode() {
    return (ports_.in(blocks_.control.first, 2) & kSciEnabled) != 0;
}

void PowerButton::ask_for_acpi_mode() {
    if (blocks_.smi && blocks_.smi.extra != 0) ports_.out(blocks_.smi.first, 1, blocks_.smi.extra);
}

void PowerButton::watch() {
    const auto enable = static_cast<uint16_t>(blocks_.event.first + blocks_.event.count / 2);
    ports_.out(blocks_.event.first, 2, kAllStatus);  // what happened before is not for us
    ports_.out(enable, 2, kButton);
    watched_ = true;
}

bool PowerButton::pressed() {
    if (!watched_) return false;
    const uint32_t status = ports_.in(blocks_.event.first, 2);
    if (status == 0xffff) return false;  // nobody decodes the port
    if (status & kAllStatus) ports_.out(blocks_.event.first, 2, status & kAllStatus);
    return (status & kButton) != 0;
}

}  // namespace bulkhead::platform
