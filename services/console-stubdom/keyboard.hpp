// SPDX-License-Identifier: Apache-2.0
// A PS/2 keyboard behind an 8042 controller, and what its keys mean to a terminal: US layout, scan-code set
// 1, which the controller makes of whatever the keyboard sends.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "services/console-stubdom/uart.hpp"

namespace bulkhead::console {

// From scan codes to bytes and escape sequences, as the Linux console sends them. Enter is CR, Backspace DEL.
class KeyDecoder {
  public:
    void feed(uint8_t scan_code, std::vector<std::byte>& out);

  private:
    void extended(uint8_t key, bool down, std::vector<std::byte>& out);
    bool modifier(uint8_t key, bool down);
    void character(uint8_t key, std::vector<std::byte>& out);
    bool function_key(uint8_t key, std::vector<std::byte>& out);
    bool keypad(uint8_t key, std::vector<std::byte>& out);

    bool left_shift_ = false, right_shift_ = false, left_control_ = false, right_control_ = false,
         alt_ = false;
    bool caps_lock_ = false, num_lock_ = true;
    bool extended_ = false;
    unsigned skip_ = 0;  // bytes of the Pause key's sequence
};

class Keyboard {
  public:
    // `ports`: register 0 is data (0x60), 1 command and status (0x64). Switches the keyboard, its interrupt
    // and the translation to set 1 on. A controller that does not answer is not present().
    explicit Keyboard(Ports& ports);
    bool present() const { return present_; }
    // Call at every interrupt, before it is acknowledged: appends what was typed.
    void interrupt(std::vector<std::byte>& out);

  private:
    bool command(uint8_t byte);
    bool data(uint8_t byte);
    bool answer(uint8_t& byte);
    bool writable();

    Ports& ports_;
    bool present_ = false;
    KeyDecoder decoder_;
};

}  // namespace bulkhead::console
