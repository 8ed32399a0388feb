// SPDX-License-Identifier: Apache-2.0
#include "toolstack/xl/config_lexer.hpp"

#include "toolstack/xl/text.hpp"

namespace bulkhead::xl {

namespace {

bool is_lower(char c) {
    return c >= 'a' && c <= 'z';
}
bool is_digit(char c) {
    return c >= '0' && c <= '9';
}
bool is_octal(char c) {
    return c >= '0' && c <= '7';
}
bool is_word(char c) {
    return is_lower(c) || is_digit(c) || c == '_' || (c >= 'A' && c <= 'Z');
}

int hex_value(char c) {
    if (is_digit(c)) return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

std::unexpected<Error> refuse(const Place& place, const std::string& why) {
    return fail(ErrorKind::Invalid, place.text() + ": " + why);
}

}  // namespace

std::string describe(const Token& token) {
    switch (token.kind) {
        case TokenKind::Key: return "the word '" + token.text + "'";
        case TokenKind::String: return "the string \"" + printable(token.text.substr(0, 40)) + "\"";
        case TokenKind::Number: return "the number " + token.text.substr(0, 40);
        case TokenKind::Assign: return "'='";
        case TokenKind::Extend: return "'+='";
        case TokenKind::Open: return "'['";
        case TokenKind::Close: return "']'";
        case TokenKind::Comma: return "','";
        case TokenKind::Semicolon: return "';'";
        case TokenKind::Newline: return "the end of the line";
        case TokenKind::End: return "the end of the file";
    }
    return "something else";
}

char ConfigLexer::take() {
    const char c = text_[at_++];
    if (c == '\n') {
        ++line_;
        column_ = 1;
    } else {
        ++column_;
    }
    return c;
}

void ConfigLexer::skip_blanks() {
    while (!at_end()) {
        const char c = peek();
        // A carriage return only as part of a line end, so that files edited elsewhere read the same.
        const bool line_end = c == '\r' && at_ + 1 < text_.size() && text_[at_ + 1] == '\n';
        if (c == '#') {
            while (!at_end() && peek() != '\n') take();
        } else if (c == ' ' || c == '\t' || line_end) {
            take();
        } else {
            return;
        }
    }
}

Result<Token> ConfigLexer::word(TokenKind kind) {
    Token token{kind, {}, here()};
    while (!at_end() && is_word(peek())) token.text += take();
    for (const char c : token.text) {
        if (kind == TokenKind::Key && c >= 'A' && c <= 'Z')
            return refuse(token.place, "expected a key of lower-case letters, digits and '_', found '" +
                                           token.text + "'.");
        if (kind == TokenKind::Number && hex_value(c) < 0 && c != 'x' && c != 'X')
            return refuse(token.place, "expected a number, found '" + token.text + "'; strings need quotes.");
    }
    if (kind == TokenKind::Number && !parse_number(token.text))
        return refuse(
            token.place,
            "expected a decimal, octal (0…) or hexadecimal (0x…) number of at most 64 bits, found '" +
                token.text + "'.");
    return token;
}

Result<char> ConfigLexer::escape(const Place& opening) {
    const Place place = here();
    if (at_end() || peek() == '\n')
        return refuse(opening, "expected a closing quote on the same line; this string has none.");
    const char c = take();
    switch (c) {
        case 'a': return '\a';
        case 'b': return '\b';
        case 'f': return '\f';
        case 'n': return '\n';
        case 'r': return '\r';
        case 't': return '\t';
        case 'v': return '\v';
        case '\\':
        case '\'':
        case '"':
        case '?': return c;
        default: break;
    }
    int value = 0;
    if (c == 'x') {
        for (int i = 0; i < 2; ++i) {
            const int digit = hex_value(peek());
            if (digit < 0) return refuse(here(), "expected two hexadecimal digits after '\\x'.");
            value = value * 16 + digit;
            take();
        }
    } else if (is_octal(c)) {
        value = c - '0';
        for (int i = 0; i < 2 && is_octal(peek()); ++i) value = value * 8 + (take() - '0');
    } else {
        return refuse(
            place, "expected one of a b f n r t v \\ ' \" ? xHH or octal digits after a backslash, found '" +
                       printable(std::string(1, c)) + "'.");
    }
    if (value == 0 || value > 255) return refuse(place, "expected an escape for a byte from 1 to 255.");
    return static_cast<char>(value);
}

Result<Token> ConfigLexer::quoted() {
    Token token{TokenKind::String, {}, here()};
    const char quote = take();
    for (;;) {
        if (at_end() || peek() == '\n')
            return refuse(token.place,
                          format("expected a closing %c on the same line; this string has none.", quote));
        const Place place = here();
        const char c = take();
        if (c == quote) return token;
        if (c == '\\') {
            auto byte = escape(token.place);
            if (!byte) return std::unexpected(byte.error());
            token.text += *byte;
        } else if (c == '\0') {
            return refuse(place, "expected text; a string cannot hold a zero byte.");
        } else {
            token.text += c;
        }
    }
}

Result<Token> ConfigLexer::next() {
    skip_blanks();
    if (at_end()) return Token{TokenKind::End, {}, here()};
    const Place place = here();
    const char c = peek();
    if (c == '\'' || c == '"') return quoted();
    if (is_digit(c)) return word(TokenKind::Number);
    if (is_word(c) && c != '_') return word(TokenKind::Key);
    take();
    switch (c) {
        case '\n': return Token{TokenKind::Newline, {}, place};
        case ';': return Token{TokenKind::Semicolon, {}, place};
        case ',': return Token{TokenKind::Comma, {}, place};
        case '[': return Token{TokenKind::Open, {}, place};
        case ']': return Token{TokenKind::Close, {}, place};
        case '=': return Token{TokenKind::Assign, {}, place};
        case '+':
            if (peek() == '=') {
                take();
                return Token{TokenKind::Extend, {}, place};
            }
            return refuse(place, "expected '+=', found '+' alone.");
        default: break;
    }
    if (c > ' ' && c <= '~')
        return refuse(place, format("expected a key, a value or punctuation, found '%c'.", c));
    return refuse(place, format("expected a key, a value or punctuation, found the byte 0x%02x.",
                                static_cast<unsigned>(static_cast<unsigned char>(c))));
}

}  // namespace bulkhead::xl
