// SPDX-License-Identifier: Apache-2.0
// GDT, TSS, IDT (AMD APM vol. 2, chapter 4 and 8).
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace bulkhead::arch {

struct CpuLocal;

struct [[gnu::packed]] Tss {
    uint32_t reserved0;
    uint64_t rsp[3];
    uint64_t reserved1;
    uint64_t ist[7];
    uint64_t reserved2;
    uint16_t reserved3;
    uint16_t io_map;
};
static_assert(sizeof(Tss) == 104);

enum Ist : uint8_t { kIstNone = 0, kIstNmi = 1, kIstMce = 2, kIstDf = 3 };

void build_idt();                  // once
void load_descriptors(CpuLocal&);  // each CPU: GDT, TSS, IDT, GS base, syscall MSRs

}  // namespace bulkhead::arch
