// SPDX-License-Identifier: Apache-2.0
#include "kernel/init/text_screen.hpp"

#include "kernel/init/bios.hpp"

namespace bulkhead::init {
namespace {

constexpr uint64_t kColourText = 0xb8000;
// BIOS data area: video mode, columns (16 bits), rows less one.
constexpr uint64_t kMode = 0x449, kColumns = 0x44a, kLastRow = 0x484;

}  // namespace

void find_text_screen(boot::PhysicalMemory& memory, abi::BootInfo& info) {
    if (info.framebuffer.width != 0 || !started_by_bios(info)) return;
    const uint8_t* area = memory.map(kMode, kLastRow + 1 - kMode);
    if (area == nullptr) return;
    const uint8_t mode = area[0], last = area[kLastRow - kMode];
    const uint32_t columns = area[kColumns - kMode] | uint32_t{area[kColumns + 1 - kMode]} << 8;
    if ((mode != 2 && mode != 3) || columns < 40 || columns > 132)
        return;  // 80x25 text in colour, or a larger kind of it
    info.framebuffer = {};
    info.framebuffer.base = kColourText;
    info.framebuffer.width = columns;
    info.framebuffer.height = last >= 24 && last < 60 ? last + 1u : 25u;
    info.framebuffer.pitch = columns * 2;
    info.framebuffer.text = 1;
}

}  // namespace bulkhead::init
