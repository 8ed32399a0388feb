// SPDX-License-Identifier: Apache-2.0
#include "services/console-stubdom/grid.hpp"

#include <algorithm>

namespace bulkhead::console {
namespace {

constexpr unsigned kTab = 8;
constexpr uint8_t kForeground = 7, kBackground = 0, kBright = 8;

unsigned moved(unsigned from, int by, unsigned last) {
    const int64_t to = int64_t{from} + by;
    return static_cast<unsigned>(std::clamp<int64_t>(to, 0, last));
}

}  // namespace

Grid::Grid(unsigned columns, unsigned rows)
    : columns_{std::max(columns, 1u)},
      rows_{std::max(rows, 1u)},
      line_(rows_, Line(columns_)),
      bottom_{rows_ - 1} {}

Cell Grid::pen(char16_t code) const {
    const uint8_t foreground =
        static_cast<uint8_t>(bold_ && foreground_ < kBright ? foreground_ + kBright : foreground_);
    return inverse_ ? Cell{code, background_, foreground} : Cell{code, foreground, background_};
}

void Grid::fill(unsigned row, unsigned from, unsigned to) {
    std::fill(line_[row].begin() + from, line_[row].begin() + to, Cell{u' ', kForeground, background_});
}

// Moves the lines [top, bottom] by `count`; those that come in are empty.
void Grid::rotate(unsigned top, unsigned bottom, unsigned count, bool up) {
    count = std::min(count, bottom - top + 1);
    const auto first = line_.begin() + top, last = line_.begin() + bottom + 1;
    std::rotate(first, up ? first + count : last - count, last);
    for (unsigned i = 0; i < count; i++) fill(up ? bottom - i : top + i, 0, columns_);
}

// As a VT100: a full line wraps when the next character comes, not before.
void Grid::print(char16_t code) {
    if (wrap_) {
        carriage_return();
        line_feed();
    }
    line_[row_][column_] = pen(code);
    if (column_ + 1 < columns_)
        column_++;
    else
        wrap_ = true;
}

void Grid::line_feed() {
    wrap_ = false;
    if (row_ == bottom_)
        rotate(top_, bottom_, 1, true);
    else if (row_ + 1 < rows_)
        row_++;
}

void Grid::reverse_line_feed() {
    wrap_ = false;
    if (row_ == top_)
        rotate(top_, bottom_, 1, false);
    else if (row_ > 0)
        row_--;
}

void Grid::backspace() {
    wrap_ = false;
    if (column_ > 0) column_--;
}

void Grid::tabulate() {
    set_column((column_ / kTab + 1) * kTab);
}

void Grid::move(int columns, int rows) {
    wrap_ = false;
    column_ = moved(column_, columns, columns_ - 1);
    row_ = moved(row_, rows, rows_ - 1);
}

void Grid::set_column(unsigned column) {
    wrap_ = false;
    column_ = std::min(column, columns_ - 1);
}

void Grid::set_row(unsigned row) {
    wrap_ = false;
    row_ = std::min(row, rows_ - 1);
}

void Grid::erase_line(unsigned mode) {
    if (mode == 0) fill(row_, column_, columns_);
    if (mode == 1) fill(row_, 0, column_ + 1);
    if (mode == 2) fill(row_, 0, columns_);
}

void Grid::erase_display(unsigned mode) {
    if (mode > 3) return;
    const unsigned from = mode == 0 ? row_ + 1 : 0, to = mode == 1 ? row_ : rows_;
    for (unsigned row = from; row < to; row++) fill(row, 0, columns_);
    if (mode < 2) erase_line(mode);
}

void Grid::erase_characters(unsigned count) {
    fill(row_, column_, column_ + std::min(count, columns_ - column_));
}

void Grid::insert_characters(unsigned count) {
    count = std::min(count, columns_ - column_);
    std::rotate(line_[row_].begin() + column_, line_[row_].end() - count, line_[row_].end());
    fill(row_, column_, column_ + count);
}

void Grid::delete_characters(unsigned count) {
    count = std::min(count, columns_ - column_);
    std::rotate(line_[row_].begin() + column_, line_[row_].begin() + column_ + count, line_[row_].end());
    fill(row_, columns_ - count, columns_);
}

void Grid::insert_lines(unsigned count) {
    if (row_ >= top_ && row_ <= bottom_) rotate(row_, bottom_, count, false);
}
void Grid::delete_lines(unsigned count) {
    if (row_ >= top_ && row_ <= bottom_) rotate(row_, bottom_, count, true);
}
void Grid::scroll_up(unsigned count) {
    rotate(top_, bottom_, count, true);
}
void Grid::scroll_down(unsigned count) {
    rotate(top_, bottom_, count, false);
}

void Grid::set_region(unsigned top, unsigned bottom) {
    bottom = std::min(bottom, rows_ - 1);
    if (top >= bottom) return;
    top_ = top, bottom_ = bottom;
    column_ = row_ = 0;
    wrap_ = false;
}

void Grid::save_cursor() {
    saved_column_ = column_, saved_row_ = row_;
}
void Grid::restore_cursor() {
    set_column(saved_column_);
    set_row(saved_row_);
}

void Grid::reset() {
    *this = Grid{columns_, rows_};
}

void Grid::rendition(unsigned n) {
    if (n == 0)
        foreground_ = kForeground, background_ = kBackground, bold_ = inverse_ = false;
    else if (n == 1)
        bold_ = true;
    else if (n == 7)
        inverse_ = true;
    else if (n == 22)
        bold_ = false;
    else if (n == 27)
        inverse_ = false;
    else if (n >= 30 && n <= 37)
        foreground_ = static_cast<uint8_t>(n - 30);
    else if (n == 39)
        foreground_ = kForeground;
    else if (n >= 40 && n <= 47)
        background_ = static_cast<uint8_t>(n - 40);
    else if (n == 49)
        background_ = kBackground;
    else if (n >= 90 && n <= 97)
        foreground_ = static_cast<uint8_t>(n - 90 + kBright);
    else if (n >= 100 && n <= 107)
        background_ = static_cast<uint8_t>(n - 100 + kBright);
}

}  // namespace bulkhead::console
