// SPDX-License-Identifier: Apache-2.0
// What a terminal shows: rows of cells and a cursor, changed by what is printed and by the control sequences
// of a VT100 (and of the Linux console, which adds colours). Knows nothing of pixels. All arguments are
// clamped; nothing that is printed can do more than spoil the picture. Not thread-safe.
#pragma once

#include <cstdint>
#include <vector>

namespace bulkhead::console {

struct Cell {
    char16_t code = u' ';
    uint8_t foreground = 7, background = 0;  // ANSI colours 0 to 15
    friend bool operator==(const Cell&, const Cell&) = default;
};

class Grid {
  public:
    Grid(unsigned columns, unsigned rows);

    unsigned columns() const { return columns_; }
    unsigned rows() const { return rows_; }
    const Cell& at(unsigned column, unsigned row) const { return line_[row][column]; }
    unsigned cursor_column() const { return column_; }
    unsigned cursor_row() const { return row_; }
    bool cursor_shown() const { return cursor_shown_; }

    void print(char16_t code);
    void line_feed();  // down, scrolls at the bottom of the region
    void reverse_line_feed();
    void carriage_return() { column_ = 0, wrap_ = false; }
    void backspace();
    void tabulate();
    void move(int columns, int rows);  // relative, stops at the edges
    void set_column(unsigned column);
    void set_row(unsigned row);
    void erase_display(unsigned mode);  // 0 to the end, 1 to the cursor, 2 and 3 all
    void erase_line(unsigned mode);
    void erase_characters(unsigned count);
    void insert_characters(unsigned count);
    void delete_characters(unsigned count);
    void insert_lines(unsigned count);
    void delete_lines(unsigned count);
    void scroll_up(unsigned count);  // the region
    void scroll_down(unsigned count);
    void set_region(unsigned top, unsigned bottom);  // rows, both inside; refused unless top < bottom
    void save_cursor();
    void restore_cursor();
    void show_cursor(bool shown) { cursor_shown_ = shown; }
    void reset();

    // Select Graphic Rendition: one parameter; extended colours have been resolved.
    void rendition(unsigned parameter);
    void set_foreground(uint8_t colour) { foreground_ = colour & 15; }
    void set_background(uint8_t colour) { background_ = colour & 15; }

  private:
    using Line = std::vector<Cell>;
    Cell pen(char16_t code) const;
    void fill(unsigned row, unsigned from, unsigned to);
    void rotate(unsigned top, unsigned bottom, unsigned count, bool up);

    unsigned columns_, rows_;
    std::vector<Line> line_;
    unsigned column_ = 0, row_ = 0, top_ = 0, bottom_;
    unsigned saved_column_ = 0, saved_row_ = 0;
    uint8_t foreground_ = 7, background_ = 0;
    bool bold_ = false, inverse_ = false, wrap_ = false, cursor_shown_ = true;
};

}  // namespace bulkhead::console
