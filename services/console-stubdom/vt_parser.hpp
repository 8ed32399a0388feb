// SPDX-License-Identifier: Apache-2.0
// From a terminal's byte stream to a Grid: UTF-8, control characters, escape sequences as ECMA-48 has them.
// Sequences that mean nothing here are swallowed whole. The bytes are a guest's: any of them, in any order,
// cost constant time and no memory.
#pragma once

#include <cstddef>
#include <span>

#include "services/console-stubdom/grid.hpp"

namespace bulkhead::console {

class VtParser {
  public:
    explicit VtParser(Grid& grid) : grid_{grid} {}
    void feed(std::span<const std::byte> bytes) {
        for (const std::byte byte : bytes) feed(static_cast<uint8_t>(byte));
    }

  private:
    enum class State : uint8_t { Text, Escape, EscapeRest, Csi, String, StringEscape };
    static constexpr unsigned kMaxParameters = 16, kMaxParameter = 9999;

    void feed(uint8_t byte);
    void text(uint8_t byte);
    void control(uint8_t byte);
    void escape(uint8_t byte);
    void csi(uint8_t byte);
    void run_csi(uint8_t final);
    void edit(uint8_t final, unsigned count);
    void renditions();
    void emit(char32_t code);
    // The n-th parameter; one that is missing or 0 counts as `otherwise`.
    unsigned parameter(unsigned n, unsigned otherwise) const {
        return n < count_ && parameter_[n] != 0 ? parameter_[n] : otherwise;
    }

    Grid& grid_;
    State state_ = State::Text;
    unsigned parameter_[kMaxParameters] = {};
    unsigned count_ = 0;
    char private_ = 0;           // '?', '>' … before the parameters
    bool intermediate_ = false;  // a byte 0x20 to 0x2f came: a sequence that we do not know
    char32_t code_ = 0;          // UTF-8 under way, and how many bytes it still wants
    unsigned wanted_ = 0, length_ = 0;
};

}  // namespace bulkhead::console
