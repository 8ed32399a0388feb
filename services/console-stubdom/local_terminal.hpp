// SPDX-License-Identifier: Apache-2.0
// The machine's own screen and keyboard, as far as it has them, the manifest grants them, and the option
// console= names "vga". Either may be missing; without both this does nothing.
#pragma once

#include <optional>

#include "lib/cap/environment.hpp"
#include "services/console-stubdom/granted_ports.hpp"
#include "services/console-stubdom/keyboard.hpp"
#include "services/console-stubdom/screen.hpp"

namespace bulkhead::console {

class LocalTerminal {
  public:
    // Shows the kernel's log so far.
    LocalTerminal(const abi::StartInfo& start, cap::CapAddr log, const cap::TscClock& clock);

    Screen* screen() { return screen_ ? &*screen_ : nullptr; }
    // The keyboard's interrupt, nullptr without one.
    const abi::NamedCap* irq() const { return keyboard_ && keyboard_->present() ? irq_ : nullptr; }

    // Call at every interrupt, before it is acknowledged: appends what was typed.
    void interrupt(std::vector<std::byte>& input);
    // Call after every turn: draws what was printed, but not more often than an eye can see.
    void draw();
    // When draw() has something to do.
    uint64_t deadline() const { return screen_ && screen_->dirty() ? next_picture_ : abi::kDeadlineNever; }

  private:
    void open_screen(const abi::StartInfo& start);
    void open_keyboard(const abi::StartInfo& start);
    void replay(cap::CapAddr log);

    const cap::TscClock& clock_;
    std::optional<PortRange> vga_;
    std::optional<Screen> screen_;
    std::optional<PortPair> keyboard_ports_;
    std::optional<Keyboard> keyboard_;
    const abi::NamedCap* irq_ = nullptr;
    uint64_t next_picture_ = 0;
};

}  // namespace bulkhead::console
