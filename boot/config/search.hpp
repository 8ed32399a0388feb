// SPDX-License-Identifier: Apache-2.0
// Which configuration file belongs to a loader of some name, as Xen's EFI loader searches: for
// bulkhead-4.2-unstable.efi these, until one exists:
//
//     bulkhead-4.2-unstable.cfg  bulkhead-4.2.cfg  bulkhead-4.cfg  bulkhead.cfg  xen.cfg
#pragma once

#include <cstddef>
#include <string_view>

namespace bulkhead::boot {

class ConfigSearch {
  public:
    static constexpr size_t kMaxName = 128;

    // `loader`: the loader's own file name without directory; empty: unknown, or not ASCII.
    explicit ConfigSearch(std::string_view loader);

    // The next name to try, each once; empty when there is none left. Valid until the next call.
    std::string_view next();

  private:
    char name_[kMaxName + 4] = {};
    size_t stem_ = 0;     // bytes of name_ that the next name is made of
    unsigned fixed_ = 0;  // how many of the fixed names were tried
    bool tried_[2] = {};  // fixed names that the loader's own name has led to
};

}  // namespace bulkhead::boot
