// SPDX-License-Identifier: Apache-2.0
#include "kernel/arch/x86_64/memory.hpp"

#include "kernel/arch/x86_64/cpu.hpp"
#include "kernel/arch/x86_64/local.hpp"
#include "kernel/core/page_table.hpp"

namespace bulkhead::arch {

KernelMemory kernel_memory;

void* phys_to_virt(PhysAddr address) {
    return direct(address.raw);
}

PhysAddr virt_to_phys(const void* pointer) {
    const uint64_t v = reinterpret_cast<uint64_t>(pointer);
    if (v >= K_IMAGE_BASE)
        return PhysAddr{v - reinterpret_cast<uint64_t>(image_start) + kernel_memory.image_physical};
    return PhysAddr{v - K_DIRECT_BASE};
}

void zero_page(void* page) {
    uint64_t words = 512;
    asm volatile("rep stosq" : "+D"(page), "+c"(words) : "a"(0) : "memory");
}

void init_host_root(void* table) {
    auto* entry = static_cast<uint64_t*>(table);
    for (unsigned i = 256; i < 512; ++i) entry[i] = kernel_memory.root[i];
}

void use_kernel_root(CpuLocal& cpu) {
    if (cpu.root == nullptr) return;
    cpu.root = nullptr;
    write_cr3(kernel_memory.root_physical | (features.pcid ? cr3::kKeep : 0));
    ++cpu.counters.cr3;
}

uint64_t last_epoch;

uint64_t now() {
    return rdtsc();
}

uint64_t port_in(uint16_t port, unsigned bytes) {
    switch (bytes) {
        case 1: return inb(port);
        case 2: return inw(port);
        default: return inl(port);
    }
}

void port_out(uint16_t port, unsigned bytes, uint64_t value) {
    switch (bytes) {
        case 1: outb(port, static_cast<uint8_t>(value)); return;
        case 2: outw(port, static_cast<uint16_t>(value)); return;
        default: outl(port, static_cast<uint32_t>(value)); return;
    }
}

}  // namespace bulkhead::arch
