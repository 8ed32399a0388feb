// SPDX-License-Identifier: Apache-2.0
#include "toolstack/xl/path.hpp"

#include <vector>

#include "toolstack/xl/text.hpp"

namespace bulkhead::xl {

std::string normalize_path(std::string_view path, std::string_view base) {
    const std::string full =
        path.starts_with('/') ? std::string(path) : std::string(base) + "/" + std::string(path);
    std::vector<std::string_view> parts;
    for (const auto part : split(full, '/')) {
        if (part == "..") {
            if (!parts.empty()) parts.pop_back();
        } else if (!part.empty() && part != ".") {
            parts.push_back(part);
        }
    }
    std::string out;
    for (const auto part : parts) out += "/" + std::string(part);
    return out.empty() ? "/" : out;
}

}  // namespace bulkhead::xl
