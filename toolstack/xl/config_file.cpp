// SPDX-License-Identifier: Apache-2.0
#include "toolstack/xl/config_file.hpp"

#include "toolstack/xl/config_lexer.hpp"
#include "toolstack/xl/text.hpp"

namespace bulkhead::xl {

std::string Place::text() const {
    return format("%s:%zu:%zu", file.c_str(), line, column);
}

namespace {

std::unexpected<Error> expected_here(const Token& found, const std::string& wanted) {
    return fail(ErrorKind::Invalid,
                found.place.text() + ": expected " + wanted + ", found " + describe(found) + ".");
}

// One token of look-ahead; the first lexical error ends everything.
class Parser {
  public:
    Parser(std::string_view file, std::string_view text) : lexer_(file, text) {}

    Result<void> advance() {
        auto token = lexer_.next();
        if (!token) return std::unexpected(token.error());
        token_ = std::move(*token);
        return {};
    }

    const Token& token() const { return token_; }
    bool is(TokenKind kind) const { return token_.kind == kind; }
    bool ends_statement() const {
        return is(TokenKind::Newline) || is(TokenKind::Semicolon) || is(TokenKind::End);
    }

    // Lists nest, so this recurses; kMaxNesting bounds the stack.
    Result<ConfigValue> value(std::size_t depth) {
        ConfigValue result;
        result.place = token_.place;
        if (is(TokenKind::String) || is(TokenKind::Number)) {
            result.atom = token_.text;
            if (auto ok = advance(); !ok) return std::unexpected(ok.error());
            return result;
        }
        if (!is(TokenKind::Open)) {
            if (is(TokenKind::Key)) return expected_here(token_, "a quoted string, a number or '['");
            return expected_here(token_,
                                 depth == 0 ? "a string, a number or '['" : "a string, a number, '[' or ']'");
        }
        if (depth == ConfigFile::kMaxNesting)
            return fail(ErrorKind::Invalid,
                        token_.place.text() +
                            format(": expected at most %zu nested lists.", ConfigFile::kMaxNesting));
        result.is_list = true;
        if (auto ok = advance_in_list(); !ok) return std::unexpected(ok.error());
        while (!is(TokenKind::Close)) {
            auto item = value(depth + 1);
            if (!item) return item;
            result.items.push_back(std::move(*item));
            if (auto ok = skip_newlines(); !ok) return std::unexpected(ok.error());
            if (is(TokenKind::Close)) break;
            if (!is(TokenKind::Comma)) return expected_here(token_, "',' or ']'");
            if (auto ok = advance_in_list(); !ok) return std::unexpected(ok.error());
        }
        if (auto ok = advance(); !ok) return std::unexpected(ok.error());
        return result;
    }

  private:
    Result<void> skip_newlines() {
        while (is(TokenKind::Newline)) {
            if (auto ok = advance(); !ok) return ok;
        }
        return {};
    }

    Result<void> advance_in_list() {
        if (auto ok = advance(); !ok) return ok;
        return skip_newlines();
    }

    ConfigLexer lexer_;
    Token token_;
};

}  // namespace

const ConfigSetting* ConfigFile::find(std::string_view key) const {
    for (const auto& setting : settings_) {
        if (setting.key == key) return &setting;
    }
    return nullptr;
}

Result<void> ConfigFile::apply(ConfigSetting setting, bool extend) {
    for (auto& known : settings_) {
        if (known.key != setting.key) continue;
        if (!extend) {
            known = std::move(setting);
            return {};
        }
        if (known.value.is_list != setting.value.is_list) {
            return fail(ErrorKind::Invalid, setting.value.place.text() + ": expected " +
                                                (known.value.is_list ? "a list" : "a string") + " after '" +
                                                setting.key + " +=', because that is what " +
                                                known.place.text() + " gave it.");
        }
        known.value.atom += setting.value.atom;
        for (auto& item : setting.value.items) known.value.items.push_back(std::move(item));
        return {};
    }
    settings_.push_back(std::move(setting));
    return {};
}

Result<void> ConfigFile::append(std::string_view file, std::string_view text) {
    if (text.size() > kMaxBytes)
        return fail(ErrorKind::Invalid, std::string(file) + ":1:1: expected a configuration of at most " +
                                            std::to_string(kMaxBytes) + " bytes.");
    Parser parser(file, text);
    if (auto ok = parser.advance(); !ok) return ok;
    while (!parser.is(TokenKind::End)) {
        if (parser.ends_statement()) {
            if (auto ok = parser.advance(); !ok) return ok;
            continue;
        }
        if (!parser.is(TokenKind::Key)) return expected_here(parser.token(), "a key");
        ConfigSetting setting;
        setting.key = parser.token().text;
        setting.place = parser.token().place;
        if (auto ok = parser.advance(); !ok) return ok;
        const bool extend = parser.is(TokenKind::Extend);
        if (!extend && !parser.is(TokenKind::Assign))
            return expected_here(parser.token(), "'=' or '+=' after '" + setting.key + "'");
        if (auto ok = parser.advance(); !ok) return ok;
        auto value = parser.value(0);
        if (!value) return std::unexpected(value.error());
        setting.value = std::move(*value);
        if (!parser.ends_statement()) return expected_here(parser.token(), "the end of the line or ';'");
        if (auto ok = apply(std::move(setting), extend); !ok) return ok;
    }
    return {};
}

}  // namespace bulkhead::xl
