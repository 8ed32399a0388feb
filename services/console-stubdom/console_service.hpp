// SPDX-License-Identifier: Apache-2.0
// Who sees what of the serial line and the screen, which show the same. Each domain prints into its own log;
// the terminal belongs to dom0's prompt, or, while dom0 has attached it, to one domain, whose log is then
// shown from its beginning. Ctrl-] gives it back.
//
// A domain's identity is its channel's badge; a badge with kControlRole belongs to dom0's control channel
// (manifest: "console:control"). A domain that prints faster than the line carries is only slowed down (its
// messages wait in its own ring) while somebody looks; otherwise its log overwrites itself.
#pragma once

#include <deque>
#include <optional>

#include "lib/ring/listener.hpp"
#include "schema/console.capnp.h"
#include "services/console-stubdom/screen.hpp"
#include "services/console-stubdom/scrollback.hpp"
#include "services/console-stubdom/uart.hpp"

namespace bulkhead::console {

class ConsoleService final : public ring::Service {
  public:
    // `screen` shows what the serial line carries; nullptr: there is none.
    ConsoleService(Uart& uart, Scrollback& scrollback, Screen* screen = nullptr)
        : uart_{uart}, scrollback_{scrollback}, screen_{screen} {}
    void set_listener(ring::Listener& listener) { listener_ = &listener; }

    // Bytes from the terminal.
    void input(std::span<const std::byte> bytes);
    // Moves what waits to the terminal as far as it takes it. Call after every turn.
    void pump();

    bool connected(ring::Client& client) override;
    bool message(ring::Client& client, std::span<const uint64_t> words) override;
    void room(ring::Client& client) override;
    void disconnected(ring::Client& client, ring::CloseReason why) override;

  private:
    using FromControl = schema::console::FromControl;
    using ResultBuilder = schema::console::ToControl::Result::Builder;

    bool from_domain(ring::Client& client, std::span<const uint64_t> words);
    bool from_control(ring::Client& client, std::span<const uint64_t> words);
    void attach(ring::Client& control, uint32_t request, uint64_t badge);
    void history(ring::Client& control, uint32_t request, uint64_t badge, uint64_t offset);
    void list(ring::Client& control, uint32_t request);
    void answer(ring::Client& control, uint32_t request, const char* error);
    void detach();
    void typed(std::span<const std::byte> before);
    void flush_input();
    size_t show(std::span<const std::byte> bytes);

    Uart& uart_;
    Scrollback& scrollback_;
    Screen* const screen_;
    ring::Listener* listener_ = nullptr;
    std::deque<std::byte> prompt_output_;  // dom0's, not yet on the line
    std::deque<std::byte> prompt_input_, domain_input_;
    std::optional<uint64_t> attached_;  // badge
    bool holding_ = false;              // dom0 still has to say what it had read of the domain's input
    std::deque<std::byte> held_;        // typed meanwhile
    uint64_t shown_ = 0;                // position in its log
};

}  // namespace bulkhead::console
