// SPDX-License-Identifier: Apache-2.0
// Any bytes as Multiboot 1 or 2 information (the first byte says which) in a memory that holds nothing else:
// no crash, no read outside, and what is accepted is what the kernel relies on.
#include <cstdlib>
#include <memory>

#include "kernel/init/multiboot.hpp"
#include "test/unit/boot/multiboot_world.hpp"

using namespace bulkhead;
using namespace multiboot_test;

namespace {

void require(bool condition) {
    if (!condition) std::abort();
}

template <size_t N>
bool ends(const char (&text)[N]) {
    return std::memchr(text, 0, N) != nullptr;
}

void check(const abi::BootInfo& info) {
    require(info.ranges > 0 && info.ranges <= 512 && info.modules <= 16);
    for (uint32_t i = 0; i < info.ranges; ++i) {
        const abi::MemoryRange& r = info.range[i];
        require(r.size > 0 && r.base % 4096 == 0 && r.size % 4096 == 0);
        require(i == 0 || info.range[i - 1].base + info.range[i - 1].size <= r.base);
        if (r.type != abi::MemoryType::Free) continue;
        require(r.base >= info.kernel_base + info.kernel_size || r.base + r.size <= info.kernel_base);
        for (uint32_t m = 0; m < info.modules; ++m)
            require(info.module[m].size == 0 || r.base >= info.module[m].base + info.module[m].size ||
                    r.base + r.size <= info.module[m].base);
    }
    for (uint32_t m = 0; m < info.modules; ++m) require(ends(info.module[m].name));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (size == 0) return 0;
    Memory memory;
    memory.put(0xf5a00, put_acpi(memory));
    memory.put(0x9000, Bytes(data + 1, data + size));
    auto map = std::make_unique<boot::MemoryMap>();
    auto info = std::make_unique<abi::BootInfo>();
    info->kernel_base = 0x200000;
    info->kernel_size = 0x100000;
    const bool second = (data[0] & 1) == 0;
    const char* why = init::read_multiboot(memory, second ? init::kMultiboot2Magic : init::kMultiboot1Magic,
                                           0x9000, {}, 0, *map, *info);
    require(ends(info->options) && ends(info->loader));
    if (why == nullptr)
        check(*info);
    else
        require(why[0] != '\0');
    return 0;
}
