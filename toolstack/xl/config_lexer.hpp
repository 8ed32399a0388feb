// SPDX-License-Identifier: Apache-2.0
// The tokens of xl.cfg(5). See config_file.hpp for the grammar.
#pragma once

#include <string>
#include <string_view>

#include "toolstack/xl/config_file.hpp"

namespace bulkhead::xl {

enum class TokenKind { Key, String, Number, Assign, Extend, Open, Close, Comma, Semicolon, Newline, End };

struct Token {
    TokenKind kind = TokenKind::End;
    std::string text;  // the key, the number, or the string without quotes and escapes
    Place place;
};

// How a message names a token: "a newline", "'['", "the word 'vcpus'".
std::string describe(const Token& token);

class ConfigLexer {
  public:
    ConfigLexer(std::string_view file, std::string_view text) : file_(file), text_(text) {}
    Result<Token> next();

  private:
    bool at_end() const { return at_ == text_.size(); }
    char peek() const { return at_end() ? '\0' : text_[at_]; }
    char take();
    Place here() const { return {std::string(file_), line_, column_}; }
    void skip_blanks();
    Result<Token> word(TokenKind kind);
    Result<Token> quoted();
    Result<char> escape(const Place& opening);

    std::string_view file_;
    std::string_view text_;
    std::size_t at_ = 0;
    std::size_t line_ = 1;
    std::size_t column_ = 1;
};

}  // namespace bulkhead::xl
