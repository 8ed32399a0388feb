// SPDX-License-Identifier: Apache-2.0
#include "kernel/arch/x86_64/ioapic.hpp"

#include "kernel/arch/x86_64/cpu.hpp"
#include "kernel/arch/x86_64/lapic.hpp"
#include "kernel/arch/x86_64/local.hpp"
#include "kernel/arch/x86_64/window.hpp"

namespace bulkhead::arch {
namespace {
constexpr unsigned kMaxIoApics = 8;
constexpr uint32_t kMasked = 1 << 16, kLevel = 1 << 15, kLow = 1 << 13;

struct IoApic {
    volatile uint32_t* mmio;
    uint32_t gsi_base, inputs;
};
IoApic ioapics[kMaxIoApics];
uint32_t ioapic_count;
uint32_t low_word[kDeviceVectors];  // what each redirection entry holds
bool routed[kDeviceVectors];

uint32_t read(const IoApic& io, uint32_t reg) {
    io.mmio[0] = reg;
    return io.mmio[4];
}
void write(const IoApic& io, uint32_t reg, uint32_t value) {
    io.mmio[0] = reg;
    io.mmio[4] = value;
}
const IoApic* find(uint32_t gsi) {
    if (gsi >= kDeviceVectors) return nullptr;
    for (uint32_t i = 0; i < ioapic_count; ++i)
        if (gsi >= ioapics[i].gsi_base && gsi - ioapics[i].gsi_base < ioapics[i].inputs) return &ioapics[i];
    return nullptr;
}
void set_low(uint32_t gsi, uint32_t value) {
    const IoApic* io = find(gsi);
    if (io == nullptr || low_word[gsi] == value) return;
    low_word[gsi] = value;
    write(*io, 0x10 + 2 * (gsi - io->gsi_base), value);
}
}  // namespace

void ioapic::mask_legacy() {
    outb(0x20, 0x11);  // ICW1..4, then everything masked; spurious ones would arrive at 0x20..0x2f, which
                       // nobody uses
    outb(0xa0, 0x11);
    outb(0x21, 0x20);
    outb(0xa1, 0x28);
    outb(0x21, 4);
    outb(0xa1, 2);
    outb(0x21, 1);
    outb(0xa1, 1);
    outb(0x21, 0xff);
    outb(0xa1, 0xff);
}

void ioapic::init(const abi::BootInfo& info) {
    for (uint32_t i = 0; i < info.ioapics && i < kMaxIoApics; ++i) {
        IoApic& io = ioapics[ioapic_count++];
        io.mmio = static_cast<volatile uint32_t*>(map_mmio(info.ioapic[i].address, 4096));
        io.gsi_base = info.ioapic[i].gsi_base;
        io.inputs = ((read(io, 1) >> 16) & 0xff) + 1;
        for (uint32_t n = 0; n < io.inputs; ++n) {
            write(io, 0x10 + 2 * n, kMasked);
            write(io, 0x11 + 2 * n, 0);
            if (io.gsi_base + n < kDeviceVectors) low_word[io.gsi_base + n] = kMasked;
        }
    }
}

uint32_t ioapic::gsi_limit() {
    uint32_t limit = 0;
    for (uint32_t i = 0; i < ioapic_count; ++i)
        if (ioapics[i].gsi_base + ioapics[i].inputs > limit) limit = ioapics[i].gsi_base + ioapics[i].inputs;
    return limit < kDeviceVectors ? limit : kDeviceVectors;
}
bool ioapic::is_level(uint32_t gsi) {
    return gsi < kDeviceVectors && (low_word[gsi] & kLevel) != 0;
}

void irq_mask(uint32_t gsi) {
    if (gsi < kDeviceVectors) set_low(gsi, low_word[gsi] | kMasked);
}
void irq_unmask(uint32_t gsi) {
    if (gsi < kDeviceVectors && routed[gsi]) set_low(gsi, low_word[gsi] & ~kMasked);
}
bool irq_setup(uint32_t gsi, uint32_t flags) {
    const IoApic* io = find(gsi);
    if (io == nullptr) return false;
    const uint32_t value = (kFirstDeviceVector + gsi) | ((flags & abi::kIrqLevel) != 0 ? kLevel : 0) |
                           ((flags & abi::kIrqLow) != 0 ? kLow : 0) | kMasked;
    write(*io, 0x11 + 2 * (gsi - io->gsi_base), cpu_locals[0]->apic_id << 24);
    set_low(gsi, value);
    routed[gsi] = true;
    return true;
}
void irq_release(uint32_t gsi) {
    irq_mask(gsi);
    if (gsi < kDeviceVectors) routed[gsi] = false;
}

}  // namespace bulkhead::arch
