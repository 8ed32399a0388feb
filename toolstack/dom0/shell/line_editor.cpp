// SPDX-License-Identifier: Apache-2.0
#include "toolstack/dom0/shell/line_editor.hpp"

#include <algorithm>

namespace bulkhead::shell {

namespace {

constexpr std::string_view kEraseToEnd = "\x1b[K";
constexpr std::string_view kBell = "\a";

}  // namespace

LineEnd LineEditor::read(std::string_view prompt) {
    prompt_ = prompt;
    line_.clear();
    draft_.clear();
    search_text_.clear();
    cursor_ = 0;
    recalled_ = history_.size();
    overflowed_ = false;
    console_.finish_line();
    console_.write_raw(prompt_);
    for (;;) {
        const Key key = keys_.next();
        switch (key.kind) {
            case KeyKind::InputEnded: return LineEnd::InputEnded;
            case KeyKind::Cancel:
                console_.write_raw("^C\r\n");
                line_.clear();
                return LineEnd::Cancelled;
            case KeyKind::Enter:
                move_to(line_.size());
                console_.write_raw("\r\n");
                if (overflowed_) return LineEnd::TooLong;
                history_.add(line_);
                return LineEnd::Entered;
            default: handle(key); break;
        }
    }
}

void LineEditor::handle(const Key& key) {
    if (key.kind != KeyKind::Search) search_text_.clear();
    switch (key.kind) {
        case KeyKind::Character: insert({&key.character, 1}); break;
        case KeyKind::Backspace:
            if (cursor_ > 0) erase(cursor_ - 1, cursor_);
            break;
        case KeyKind::Delete:
        case KeyKind::EndOrDelete:
            if (cursor_ < line_.size()) erase(cursor_, cursor_ + 1);
            break;
        case KeyKind::Left: move_to(cursor_ > 0 ? cursor_ - 1 : 0); break;
        case KeyKind::Right: move_to(std::min(cursor_ + 1, line_.size())); break;
        case KeyKind::Home: move_to(0); break;
        case KeyKind::End: move_to(line_.size()); break;
        case KeyKind::WordLeft: move_to(word_left()); break;
        case KeyKind::WordRight: move_to(word_right()); break;
        case KeyKind::KillToEnd: erase(cursor_, line_.size()); break;
        case KeyKind::KillToStart:
            erase(0, cursor_);
            overflowed_ = false;
            break;
        case KeyKind::KillWord: erase(word_left(), cursor_); break;
        case KeyKind::Up:
            if (recalled_ > 0) recall(recalled_ - 1);
            break;
        case KeyKind::Down:
            if (recalled_ < history_.size()) recall(recalled_ + 1);
            break;
        case KeyKind::Search: search(); break;
        case KeyKind::Tab: complete(); break;
        case KeyKind::Redraw:
            console_.write_raw("\x1b[H\x1b[2J");
            show_all();
            break;
        default: break;
    }
}

void LineEditor::insert(std::string_view text) {
    if (line_.size() + text.size() > kMaxLine) {
        overflowed_ = true;
        console_.write_raw(kBell);
        return;
    }
    line_.insert(cursor_, text);
    cursor_ += text.size();
    console_.write_raw(text);
    if (cursor_ < line_.size()) show_tail();
}

void LineEditor::erase(std::size_t from, std::size_t to) {
    if (from == to) return;
    move_to(from);
    const bool last_one = to == line_.size() && to == from + 1;
    line_.erase(from, to - from);
    if (last_one) {
        console_.write_raw(" \b");  // the common case needs no escape sequence
    } else {
        show_tail();
    }
}

void LineEditor::move_to(std::size_t position) {
    if (position < cursor_) {
        console_.write_raw(std::string(cursor_ - position, '\b'));
    } else {
        console_.write_raw(std::string_view(line_).substr(cursor_, position - cursor_));
    }
    cursor_ = position;
}

void LineEditor::show_tail() {
    std::string out(std::string_view(line_).substr(cursor_));
    const auto length = out.size();
    out += kEraseToEnd;
    out.append(length, '\b');
    console_.write_raw(out);
}

void LineEditor::show_all() {
    const auto position = cursor_;
    console_.write_raw(prompt_ + line_);
    cursor_ = line_.size();
    move_to(position);
}

void LineEditor::replace(const std::string& text) {
    move_to(0);
    line_ = text;
    cursor_ = line_.size();
    console_.write_raw(line_ + std::string(kEraseToEnd));
    overflowed_ = false;
}

void LineEditor::recall(std::size_t index) {
    if (recalled_ == history_.size()) draft_ = line_;
    recalled_ = index;
    replace(index == history_.size() ? draft_ : history_.at(index));
}

void LineEditor::search() {
    if (search_text_.empty()) search_text_ = line_.substr(0, cursor_);
    const auto found = history_.find_before(recalled_, search_text_);
    if (!found) {
        console_.write_raw(kBell);
        return;
    }
    recall(*found);
}

void LineEditor::complete() {
    const auto completion = completer_.complete(std::string_view(line_).substr(0, cursor_));
    if (completion.candidates.empty()) {
        console_.write_raw(kBell);
        return;
    }
    const auto& first = completion.candidates.front();
    // In a sorted list, what the first and the last have in common, all have.
    const auto& last = completion.candidates.back();
    const auto common = static_cast<std::size_t>(
        std::mismatch(first.begin(), first.end(), last.begin(), last.end()).first - first.begin());
    if (common > completion.typed)
        insert(std::string_view(first).substr(completion.typed, common - completion.typed));
    if (completion.candidates.size() == 1) {
        if (!first.ends_with('/')) insert(" ");
    } else if (common == completion.typed) {
        offer(completion);
    }
}

void LineEditor::offer(const Completion& completion) {
    constexpr std::size_t kMaxShown = 100;
    std::string out = "\n";
    for (std::size_t i = 0; i < completion.candidates.size() && i < kMaxShown; ++i)
        out += (i == 0 ? "" : "  ") + completion.candidates[i];
    if (completion.candidates.size() > kMaxShown)
        out += xl::format("  and %zu more", completion.candidates.size() - kMaxShown);
    console_.print(out + "\n");
    show_all();
}

std::size_t LineEditor::word_left() const {
    auto position = cursor_;
    while (position > 0 && line_[position - 1] == ' ') --position;
    while (position > 0 && line_[position - 1] != ' ') --position;
    return position;
}

std::size_t LineEditor::word_right() const {
    auto position = cursor_;
    while (position < line_.size() && line_[position] == ' ') ++position;
    while (position < line_.size() && line_[position] != ' ') ++position;
    return position;
}

}  // namespace bulkhead::shell
