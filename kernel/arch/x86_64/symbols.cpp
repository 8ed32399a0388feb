// SPDX-License-Identifier: Apache-2.0
#include "kernel/arch/x86_64/symbols.hpp"

#include "kernel/arch/x86_64/memory.hpp"

namespace bulkhead::arch {
namespace {
constexpr uint32_t kTableBytes = 96 * 1024;
[[gnu::section(".ksyms"), gnu::used]] const volatile uint32_t table[kTableBytes / 4] = {};
}  // namespace

Symbol find_symbol(uint64_t address) {
    if (address < reinterpret_cast<uint64_t>(image_start) || address >= reinterpret_cast<uint64_t>(image_end))
        return {nullptr, 0};
    const uint32_t wanted = static_cast<uint32_t>(address - K_IMAGE_BASE);
    const uint32_t count = table[0];
    uint32_t low = 0, high = count;
    while (low < high) {
        const uint32_t middle = (low + high) / 2;
        if (table[1 + middle] <= wanted)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == 0) return {nullptr, 0};
    const auto* names = reinterpret_cast<const char*>(const_cast<const uint32_t*>(&table[1 + 2 * count]));
    return {names + table[1 + count + low - 1], wanted - table[1 + low - 1]};
}

}  // namespace bulkhead::arch
