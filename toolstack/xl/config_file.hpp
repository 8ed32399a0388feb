// SPDX-License-Identifier: Apache-2.0
// The syntax of xl.cfg(5) and nothing of its meaning: text in, a list of assignments out, each with its
// place. The text may be anything at all; the cost is linear in its length and nesting is bounded.
//
//   file       := { [ assignment ] ( NEWLINE | ';' ) } [ assignment ]
//   assignment := KEY ( '=' | '+=' ) value
//   value      := STRING | NUMBER | '[' { NEWLINE } [ value { ',' value } [ ',' ] ] ']'     NEWLINEs may
//   stand between the tokens of a list KEY        := [a-z] [a-z0-9_]*          NUMBER := [0-9] [0-9a-fx]* '#'
//   begins a comment up to the end of the line STRING     := '…' or "…" on one line, with the escapes \a \b
//   \f \n \r \t \v \\ \' \" \? \xHH \ooo
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "toolstack/xl/error.hpp"

namespace bulkhead::xl {

struct Place {
    std::string file;
    std::size_t line = 1;
    std::size_t column = 1;

    std::string text() const;  // "file:line:column"
};

// A string and a number are one kind, as in Xen: `vcpus="2"` and `vcpus=2` mean the same.
struct ConfigValue {
    bool is_list = false;
    std::string atom;                // when not a list
    std::vector<ConfigValue> items;  // when a list
    Place place;
};

struct ConfigSetting {
    std::string key;
    ConfigValue value;
    Place place;  // of the key
};

class ConfigFile {
  public:
    static constexpr std::size_t kMaxBytes = 1 << 20;
    static constexpr std::size_t kMaxNesting = 16;

    // Reads `text` on top of what was read before: a later `=` replaces, a `+=` extends a string or a list.
    // The error's sentence begins with file:line:column and says what was expected there.
    Result<void> append(std::string_view file, std::string_view text);

    const std::vector<ConfigSetting>& settings() const { return settings_; }
    const ConfigSetting* find(std::string_view key) const;

  private:
    Result<void> apply(ConfigSetting setting, bool extend);

    std::vector<ConfigSetting> settings_;  // one per key, in order of first appearance
};

}  // namespace bulkhead::xl
