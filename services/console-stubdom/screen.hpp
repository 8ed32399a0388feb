// SPDX-License-Identifier: Apache-2.0
// A terminal on a Surface. What is written changes the grid only; flush() draws the cells that differ from
// what is shown, so that a thousand lines that scroll by cost one picture. Not thread-safe.
#pragma once

#include <memory>
#include <vector>

#include "services/console-stubdom/surface.hpp"
#include "services/console-stubdom/vt_parser.hpp"

namespace bulkhead::console {

class Screen {
  public:
    explicit Screen(std::unique_ptr<Surface> surface);

    void write(std::span<const std::byte> bytes) {
        parser_.feed(bytes);
        dirty_ = dirty_ || !bytes.empty();
    }
    bool dirty() const { return dirty_; }
    void flush();
    const Grid& grid() const { return grid_; }

  private:
    const std::unique_ptr<Surface> surface_;
    Grid grid_;
    VtParser parser_{grid_};
    std::vector<Cell> shown_;
    bool dirty_ = true;
};

}  // namespace bulkhead::console
