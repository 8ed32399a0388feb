// SPDX-License-Identifier: Apache-2.0
// Cap'n Proto 0.9 leaves these out for C++20 and relies on rewritten comparisons, which C++23 no longer makes
// of an operator== that stands beside an operator!= (P2468, in clang but not in g++ 12). Given to clang by
// -include, where that library is used; assembly files of the same program get it too.

#ifndef __ASSEMBLER__
#pragma once

#include <kj/string.h>

namespace kj {
inline bool operator==(const char* a, const StringPtr& b) {
    return b == StringPtr(a);
}
inline bool operator!=(const char* a, const StringPtr& b) {
    return b != StringPtr(a);
}
}  // namespace kj

#endif
