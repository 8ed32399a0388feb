// SPDX-License-Identifier: Apache-2.0
// Paths: validation, the canonical (absolute) form, and iteration over components.
// A canonical path is "/", "/a/b" or a special "@name[/x]".
#pragma once

#include <string>
#include <string_view>

#include "services/xenstore-stubdom/types.hpp"

namespace bulkhead::xenstore {

inline constexpr std::size_t kMaxAbsolutePath = 3072;
inline constexpr std::size_t kMaxRelativePath = 2048;

enum class SpecialPaths { refused, allowed };

constexpr bool is_special(std::string_view path) {
    return !path.empty() && path.front() == '@';
}

// `home` is what a relative path is relative to, for example "/local/domain/5".
Status canonicalize(std::string_view given, std::string_view home, SpecialPaths special, std::string& out);

// Everything before the last '/', at least "/".
std::string_view parent_path(std::string_view canonical);

class Components {
  public:
    explicit Components(std::string_view canonical) : rest_(canonical) {
        if (!rest_.empty() && rest_.front() == '/') rest_.remove_prefix(1);
    }
    bool next(std::string_view& component) {
        if (rest_.empty()) return false;
        const std::size_t slash = rest_.find('/');
        component = rest_.substr(0, slash);
        rest_.remove_prefix(slash == std::string_view::npos ? rest_.size() : slash + 1);
        return true;
    }
    bool empty() const { return rest_.empty(); }

  private:
    std::string_view rest_;
};

}  // namespace bulkhead::xenstore
