// SPDX-License-Identifier: Apache-2.0
#include "services/console-stubdom/vt_parser.hpp"

namespace bulkhead::console {
namespace {

constexpr char32_t kReplacement = 0xfffd;
constexpr uint8_t kCancel = 0x18, kSubstitute = 0x1a, kEscape = 0x1b, kBell = 7, kDelete = 0x7f;

}  // namespace

void VtParser::feed(uint8_t byte) {
    if (byte == kCancel || byte == kSubstitute) {
        state_ = State::Text;
        wanted_ = 0;
        return;
    }
    switch (state_) {
        case State::Text: return text(byte);
        case State::Escape: return escape(byte);
        case State::EscapeRest:  // of a designation like ESC ( B: its last byte is at or above 0x30
            if (byte >= 0x30) state_ = State::Text;
            return;
        case State::Csi: return csi(byte);
        case State::String:
            if (byte == kBell) state_ = State::Text;
            if (byte == kEscape) state_ = State::StringEscape;
            return;
        case State::StringEscape: state_ = byte == '\\' ? State::Text : State::String; return;
    }
}

void VtParser::text(uint8_t byte) {
    if (wanted_ != 0) {
        if ((byte & 0xc0) == 0x80) {
            code_ = code_ << 6 | (byte & 0x3f);
            if (--wanted_ == 0) {
                constexpr char32_t kLeast[] = {0, 0x80, 0x800, 0x10000};
                emit(code_ < kLeast[length_] ? kReplacement : code_);
            }
            return;
        }
        wanted_ = 0;
        emit(kReplacement);
    }
    if (byte < 0x20) return control(byte);
    if (byte == kDelete) return;
    if (byte < 0x80) return emit(byte);
    length_ = wanted_ = byte >= 0xf0 && byte < 0xf8   ? 3
                        : byte >= 0xe0 && byte < 0xf0 ? 2
                        : byte >= 0xc0 && byte < 0xe0 ? 1
                                                      : 0;
    if (wanted_ == 0) return emit(kReplacement);
    code_ = byte & (0x3fu >> wanted_);
}

void VtParser::emit(char32_t code) {
    const bool shown = code < 0xd800 || (code > 0xdfff && code < 0x10000);
    if (code >= 0x80 && code < 0xa0) return;  // C1 controls
    grid_.print(static_cast<char16_t>(shown ? code : kReplacement));
}

void VtParser::control(uint8_t byte) {
    switch (byte) {
        case '\b': return grid_.backspace();
        case '\t': return grid_.tabulate();
        case '\n':
        case '\v':
        case '\f': return grid_.line_feed();
        case '\r': return grid_.carriage_return();
        case kEscape: state_ = State::Escape; return;
        default: return;
    }
}

void VtParser::escape(uint8_t byte) {
    state_ = State::Text;
    switch (byte) {
        case '[':
            state_ = State::Csi;
            count_ = 0;
            private_ = 0;
            intermediate_ = false;
            return;
        case ']':
        case 'P':
        case 'X':
        case '^':
        case '_': state_ = State::String; return;
        case '7': return grid_.save_cursor();
        case '8': return grid_.restore_cursor();
        case 'D': return grid_.line_feed();
        case 'E': grid_.carriage_return(); return grid_.line_feed();
        case 'M': return grid_.reverse_line_feed();
        case 'c': return grid_.reset();
        case kEscape: state_ = State::Escape; return;
        default:
            if (byte < 0x20) return control(byte);
            if (byte < 0x30) state_ = State::EscapeRest;
    }
}

void VtParser::csi(uint8_t byte) {
    if (byte == kEscape) {
        state_ = State::Escape;
    } else if (byte < 0x20) {
        control(byte);
    } else if (byte >= '0' && byte <= '9') {
        if (count_ == 0) parameter_[count_++] = 0;
        unsigned& value = parameter_[count_ - 1];
        value = value * 10 + (byte - '0');
        if (value > kMaxParameter) value = kMaxParameter;
    } else if (byte == ';' || byte == ':') {
        if (count_ == 0) parameter_[count_++] = 0;
        if (count_ < kMaxParameters)
            parameter_[count_++] = 0;
        else
            parameter_[count_ - 1] = 0;
    } else if (byte >= '<' && byte <= '?') {
        private_ = static_cast<char>(byte);
    } else if (byte < 0x30) {
        intermediate_ = true;
    } else if (byte < kDelete) {
        state_ = State::Text;
        if (!intermediate_) run_csi(byte);
    }
}

void VtParser::run_csi(uint8_t final) {
    if (private_ == '?') {
        if ((final == 'h' || final == 'l') && parameter(0, 0) == 25) grid_.show_cursor(final == 'h');
        return;
    }
    if (private_ != 0) return;
    const unsigned one = parameter(0, 1);
    const int by = static_cast<int>(one);
    switch (final) {
        case 'A': return grid_.move(0, -by);
        case 'B':
        case 'e': return grid_.move(0, by);
        case 'C':
        case 'a': return grid_.move(by, 0);
        case 'D': return grid_.move(-by, 0);
        case 'E': grid_.carriage_return(); return grid_.move(0, by);
        case 'F': grid_.carriage_return(); return grid_.move(0, -by);
        case 'G':
        case '`': return grid_.set_column(one - 1);
        case 'd': return grid_.set_row(one - 1);
        case 'H':
        case 'f': grid_.set_row(one - 1); return grid_.set_column(parameter(1, 1) - 1);
        case 'J': return grid_.erase_display(parameter(0, 0));
        case 'K': return grid_.erase_line(parameter(0, 0));
        case 'm': return renditions();
        case 'r': return grid_.set_region(one - 1, parameter(1, grid_.rows()) - 1);
        case 's': return grid_.save_cursor();
        case 'u': return grid_.restore_cursor();
        default: return edit(final, one);
    }
}

void VtParser::edit(uint8_t final, unsigned count) {
    switch (final) {
        case '@': return grid_.insert_characters(count);
        case 'P': return grid_.delete_characters(count);
        case 'X': return grid_.erase_characters(count);
        case 'L': return grid_.insert_lines(count);
        case 'M': return grid_.delete_lines(count);
        case 'S': return grid_.scroll_up(count);
        case 'T': return grid_.scroll_down(count);
        default: return;
    }
}

// 38 and 48 take a colour from the parameters that follow: 5;n of a palette, whose first 16 are ours, or
// 2;r;g;b.
void VtParser::renditions() {
    if (count_ == 0) return grid_.rendition(0);
    for (unsigned i = 0; i < count_; i++) {
        const unsigned n = parameter_[i];
        if (n != 38 && n != 48) {
            grid_.rendition(n);
            continue;
        }
        const unsigned kind = i + 1 < count_ ? parameter_[i + 1] : 0,
                       colour = i + 2 < count_ ? parameter_[i + 2] : 0;
        if (kind == 5 && colour < 16)
            n == 38 ? grid_.set_foreground(static_cast<uint8_t>(colour))
                    : grid_.set_background(static_cast<uint8_t>(colour));
        i += kind == 5 ? 2 : kind == 2 ? 4 : 0;
    }
}

}  // namespace bulkhead::console
