// SPDX-License-Identifier: Apache-2.0
#include "services/console-stubdom/screen.hpp"

#include <utility>

namespace bulkhead::console {

Screen::Screen(std::unique_ptr<Surface> surface)
    : surface_{std::move(surface)},
      grid_{surface_->columns(), surface_->rows()},
      shown_(size_t{grid_.columns()} * grid_.rows(), Cell{u' ', 0, 0}) {
    surface_->clear();
}

void Screen::flush() {
    dirty_ = false;
    const bool drawn_cursor =
        grid_.cursor_shown() && !surface_->place_cursor(grid_.cursor_column(), grid_.cursor_row());
    Cell* shown = shown_.data();
    for (unsigned row = 0; row < grid_.rows(); row++)
        for (unsigned column = 0; column < grid_.columns(); column++, shown++) {
            Cell cell = grid_.at(column, row);
            if (drawn_cursor && row == grid_.cursor_row() && column == grid_.cursor_column())
                std::swap(cell.foreground, cell.background);
            if (cell == *shown) continue;
            *shown = cell;
            surface_->draw(column, row, cell);
        }
}

}  // namespace bulkhead::console
