// SPDX-License-Identifier: Apache-2.0
#include "services/xenstore-stubdom/path.hpp"

#include <array>

namespace bulkhead::xenstore {
namespace {

constexpr std::array<bool, 256> make_allowed() {
    std::array<bool, 256> table{};
    for (unsigned c = '0'; c <= '9'; ++c) table[c] = true;
    for (unsigned c = 'A'; c <= 'Z'; ++c) table[c] = true;
    for (unsigned c = 'a'; c <= 'z'; ++c) table[c] = true;
    for (const char c : {'-', '/', '_', '@'}) table[static_cast<unsigned char>(c)] = true;
    return table;
}
constexpr std::array<bool, 256> kAllowed = make_allowed();

// No empty component, no slash at the end, only the permitted characters.
bool well_formed(std::string_view path) {
    char previous = 0;
    for (const char c : path) {
        if (!kAllowed[static_cast<unsigned char>(c)]) return false;
        if (c == '/' && previous == '/') return false;
        previous = c;
    }
    return previous != '/' || path == "/";
}

}  // namespace

Status canonicalize(std::string_view given, std::string_view home, SpecialPaths special, std::string& out) {
    if (given.empty() || given.size() > kMaxAbsolutePath || !well_formed(given)) return Status::einval;
    if (given.front() == '/') {
        out.assign(given);
        return Status::ok;
    }
    if (given.size() > kMaxRelativePath) return Status::einval;
    if (given.front() == '@') {
        if (special == SpecialPaths::refused) return Status::einval;
        out.assign(given);
        return Status::ok;
    }
    out.assign(home);
    out += '/';
    out += given;
    return Status::ok;
}

std::string_view parent_path(std::string_view canonical) {
    const std::size_t slash = canonical.rfind('/');
    if (slash == std::string_view::npos || slash == 0) return "/";
    return canonical.substr(0, slash);
}

}  // namespace bulkhead::xenstore
