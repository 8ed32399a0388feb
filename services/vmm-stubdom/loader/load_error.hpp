// SPDX-License-Identifier: Apache-2.0
// What the loader answers when it refuses an image: one sentence for the person who typed `xl create`.
#pragma once

#include <expected>
#include <string>
#include <utility>

namespace bulkhead::vmm {

struct LoadError {
    std::string sentence;  // without a final full stop, to be embedded: "xl: web1.cfg: " + sentence
};

template <typename T>
using Loaded = std::expected<T, LoadError>;

[[nodiscard]] inline std::unexpected<LoadError> load_error(std::string sentence) {
    return std::unexpected(LoadError{std::move(sentence)});
}

}  // namespace bulkhead::vmm
