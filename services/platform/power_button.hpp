// SPDX-License-Identifier: Apache-2.0
// The ACPI fixed power button (ACPI 6.4, 4.8.3.1.1): the machine's firmware hands events to us once ACPI mode
// is on; a press sets a status bit, and its enable bit makes it raise the SCI. Everything else that ACPI
// could report stays off.
#pragma once

#include <string>

#include "services/platform/ports.hpp"

namespace bulkhead::platform {

class PowerButton {
  public:
    // `event`: PM1a event block, extra bit 0: the button is not a fixed one. `control`: PM1a control block.
    // `smi`: the port that switches ACPI mode on, extra: by this value. `pause` waits about a millisecond.
    struct Blocks {
        PortRange event, control, smi;
    };
    PowerButton(IoPorts& ports, const Blocks& blocks) : ports_{ports}, blocks_{blocks} {}

    // Empty: the button is watched. Else a sentence that says why it is not.
    template <typename Pause>
    std::string start(Pause&& pause) {
        std::string problem = check();
        if (!problem.empty()) return problem;
        if (!in_acpi_mode()) {
            ask_for_acpi_mode();
            for (unsigned ms = 0; ms < kEnableMs && !in_acpi_mode(); ms++) pause();
            if (!in_acpi_mode()) return "the firmware does not switch ACPI mode on";
        }
        watch();
        return {};
    }
    bool watched() const { return watched_; }

    // Was it pressed since the last call? Clears what raised the SCI.
    bool pressed();

  private:
    static constexpr unsigned kEnableMs = 3000;
    std::string check() const;
    bool in_acpi_mode();
    void ask_for_acpi_mode();
    void watch();

    IoPorts& ports_;
    const Blocks blocks_;
    bool watched_ = false;
};

}  // namespace bulkhead::platform
