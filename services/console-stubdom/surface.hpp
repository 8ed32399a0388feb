// SPDX-License-Identifier: Apache-2.0
// Where cells become visible: the pixels of a framebuffer, or a VGA's text mode. Written only, never read:
// reading such memory is slow. Not thread-safe.
#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include "abi/bootinfo.hpp"
#include "services/console-stubdom/grid.hpp"
#include "services/console-stubdom/uart.hpp"

namespace bulkhead::console {

class Surface {
  public:
    virtual ~Surface() = default;
    unsigned columns() const { return columns_; }
    unsigned rows() const { return rows_; }
    virtual void clear() = 0;
    virtual void draw(unsigned column, unsigned row, const Cell& cell) = 0;
    // True if the hardware shows the cursor by itself.
    virtual bool place_cursor(unsigned /*column*/, unsigned /*row*/) { return false; }

    // `memory` is what `screen` describes, mapped writable; `vga` the CRT controller's index and data
    // registers (text mode only), or nullptr. nullptr: the description makes no sense.
    static std::unique_ptr<Surface> create(const abi::BootFramebuffer& screen, std::span<std::byte> memory,
                                           Ports* vga);

  protected:
    Surface(unsigned columns, unsigned rows) : columns_{columns}, rows_{rows} {}

  private:
    const unsigned columns_, rows_;
};

// The glyph of a character, 16 rows of 8 pixels, the leftmost in the highest bit.
const uint8_t* glyph_of(char16_t code);

}  // namespace bulkhead::console
