// SPDX-License-Identifier: Apache-2.0
#include "toolstack/dom0/shell/command_line.hpp"

#include "toolstack/xl/text.hpp"

namespace bulkhead::shell {

namespace {

class LineParser {
  public:
    explicit LineParser(std::string_view line) : line_(line) {}

    xl::Result<std::vector<SimpleCommand>> parse() {
        for (const char c : line_) {
            if (c < ' ' || c > '~')
                return refuse(xl::format("the byte 0x%02x is not part of any command",
                                         static_cast<unsigned>(static_cast<unsigned char>(c))));
        }
        while (at_ < line_.size()) {
            if (auto ok = step(); !ok) return std::unexpected(ok.error());
        }
        end_word();
        if (current_.words.empty() && current_.joint != Joint::Always)
            return refuse("expected a command after '" +
                          std::string(current_.joint == Joint::IfSucceeded ? "&&" : "||") + "'");
        if (!current_.words.empty()) commands_.push_back(std::move(current_));
        return std::move(commands_);
    }

  private:
    std::unexpected<xl::Error> refuse(const std::string& why) {
        return xl::fail(xl::ErrorKind::Invalid, why + ".");
    }

    xl::Result<void> step() {
        const char c = line_[at_++];
        switch (c) {
            case ' ': end_word(); return {};
            case '\'': return single_quoted();
            case '"': return double_quoted();
            case '$': return dollar();
            case ';': return join(";", Joint::Always);
            case '&':
            case '|':
                if (at_ < line_.size() && line_[at_] == c) {
                    ++at_;
                    return c == '&' ? join("&&", Joint::IfSucceeded) : join("||", Joint::IfFailed);
                }
                return refuse(
                    c == '|'
                        ? "this shell has no pipes ('|'); quote the character to pass it on"
                        : "this shell has no background commands ('&'); quote the character to pass it on");
            case '<':
            case '>':
                return refuse(
                    xl::format("this shell has no redirection ('%c'); quote the character to pass it on", c));
            case '`':
            case '(':
            case ')':
                return refuse(
                    xl::format("this shell has no use for '%c'; quote the character to pass it on", c));
            case '#':
                if (in_word_) break;
                at_ = line_.size();
                return {};
            case '\\':
                if (at_ == line_.size()) return refuse("expected a character after '\\'");
                add(line_[at_++]);
                return {};
            default: break;
        }
        add(c);
        return {};
    }

    void add(char c) {
        word_ += c;
        in_word_ = true;
    }

    void end_word() {
        if (in_word_) current_.words.push_back(std::move(word_));
        word_.clear();
        in_word_ = false;
    }

    xl::Result<void> join(const char* separator, Joint joint) {
        end_word();
        if (current_.words.empty())
            return refuse(std::string("expected a command before '") + separator + "'");
        commands_.push_back(std::move(current_));
        current_ = {joint, {}};
        return {};
    }

    xl::Result<void> single_quoted() {
        const auto end = line_.find('\'', at_);
        if (end == std::string_view::npos) return refuse("expected a closing '");
        word_ += line_.substr(at_, end - at_);
        in_word_ = true;
        at_ = end + 1;
        return {};
    }

    xl::Result<void> double_quoted() {
        in_word_ = true;
        while (at_ < line_.size()) {
            const char c = line_[at_++];
            if (c == '"') return {};
            if (c == '$') {
                if (auto ok = dollar(); !ok) return ok;
                continue;
            }
            const bool escapes = c == '\\' && at_ < line_.size() &&
                                 std::string_view("\"\\$").find(line_[at_]) != std::string_view::npos;
            word_ += escapes ? line_[at_++] : c;
        }
        return refuse("expected a closing \"");
    }

    xl::Result<void> dollar() {
        if (at_ < line_.size() && line_[at_] == '?') {
            ++at_;
            add(kStatus);
            return {};
        }
        return refuse("this shell has no variables but $?; quote the '$' with ' to pass it on");
    }

    std::string_view line_;
    std::size_t at_ = 0;
    std::string word_;
    bool in_word_ = false;
    SimpleCommand current_;
    std::vector<SimpleCommand> commands_;
};

}  // namespace

xl::Result<std::vector<SimpleCommand>> parse_line(std::string_view line) {
    return LineParser(line).parse();
}

std::string expand(const std::string& word, int status) {
    std::string out;
    for (const char c : word) {
        if (c == kStatus) {
            out += xl::format("%d", status);
        } else {
            out += c;
        }
    }
    return out;
}

}  // namespace bulkhead::shell
