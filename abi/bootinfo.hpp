// SPDX-License-Identifier: Apache-2.0
// BootInfo: what boot code hands to the kernel, the same for every way of booting (UEFI, Multiboot 1 and 2);
// and RootInfo: what the kernel hands to the supervisor. Fixed layout, fixed size, physical addresses.
#pragma once

#include "abi/boot_options.hpp"
#include "abi/types.hpp"

namespace bulkhead::abi {

inline constexpr uint64_t kBootInfoMagic = 0x314f464e49484b42;  // "BKHINFO1"

enum class MemoryType : uint32_t {
    Free = 1,
    Reserved = 2,
    AcpiReclaim = 3,
    AcpiNvs = 4,
    Bad = 5,
    Kernel = 16,
    Module = 17,
    Boot = 18,
    Mmio = 19
};

struct MemoryRange {
    uint64_t base, size;  // bytes; sorted, disjoint, page-aligned once boot code has normalised them
    MemoryType type;
    uint32_t reserved;
};

struct BootModule {
    uint64_t base, size;  // base page-aligned
    char name[48];        // NUL-terminated: "manifest", "bootfs"
};

struct BootCpu {
    uint32_t apic_id;
    uint32_t acpi_uid;
};

struct BootIoApic {
    uint64_t address;
    uint32_t id, gsi_base;
};

struct BootIrqOverride {
    uint32_t source, gsi, flags /* IrqFlags */, reserved;
};

struct BootFramebuffer {
    uint64_t base;
    uint32_t width, height, pitch, bits;  // pixels, pixels, bytes a line, bits a pixel; width 0: none
    // Where a colour lies in a pixel, lowest bit and number of bits, as Multiboot 2 describes it (3.6.12).
    uint8_t red_position, red_bits, green_position, green_bits, blue_position, blue_bits;
    uint8_t text;  // 1: a VGA's text mode; width and height are in characters, each two bytes
    uint8_t reserved;
};

// What ACPI says of events, power and timers beyond what follows in BootInfo; 0 where it says nothing. Ports
// are I/O ports.
struct BootAcpi {
    uint32_t pm1a_event,
        pm1_event_bytes;  // FADT: status registers in the first half, enable registers in the second
    uint32_t smi_command, acpi_enable;  // to be written to the port to leave legacy mode
    uint32_t sci_gsi,
        sci_flags;  // where the SCI arrives (MADT overrides applied), IrqFlags; meaningful with pm1a_event
    uint32_t pm_timer, pm_timer_bits;  // 24 or 32 bits that count at 3.579545 MHz
    uint64_t hpet;                     // physical address of the first event timer block
    uint32_t fadt_flags;
    uint32_t dmar_units, ivrs_units;  // IOMMUs, as the DMAR (Intel) and IVRS (AMD) tables list them
    uint32_t intel_tco;   // first of the 32 ports of an Intel chipset's TCO timer, ICH6 to 9 series; with it
    uint64_t intel_rcba;  // the physical address of its register block (RCBA)
};
inline constexpr uint64_t kRcbaControlPage =
    0x3000;  // the page of RCBA that holds General Control and Status
inline constexpr uint32_t kFadtPowerButtonIsDevice =
    1 << 4;  // fadt_flags: no fixed power button, AML describes one

struct BootInfo {
    uint64_t magic;
    uint32_t version, size;
    uint64_t rsdp;
    uint64_t kernel_base, kernel_size;  // physical
    uint64_t lapic_base;
    uint64_t pm1a_control, pm1b_control;      // I/O ports, 0: none (FADT)
    uint32_t sleep_type_s5a, sleep_type_s5b;  // SLP_TYP of \_S5 (DSDT)
    uint64_t reset_register, reset_value;     // FADT reset register if it is an I/O port, else 0
    uint32_t cpus, ioapics, overrides, ranges, modules, flags;
    BootCpu cpu[kMaxCpus];
    BootIoApic ioapic[8];
    BootIrqOverride irq_override[32];
    BootFramebuffer framebuffer;
    BootAcpi acpi;
    BootModule module[16];
    MemoryRange range[512];
    char options[1024];  // kernel command line
    BootOptions chosen;  // what it says; the kernel fills it in, whatever the loader put there
    char loader[64];     // who booted us
};

// ---- what the root task finds
// --------------------------------------------------------------------------------------------- Slots of the
// root CNode (2^kRootCNodeBits slots).
inline constexpr unsigned kRootCNodeBits = 14;
namespace root {
inline constexpr uint32_t kCNode = 1, kVSpace = 2, kThread = 3, kSchedContext = 4, kIpcBuffer = 5, kLog = 6;
inline constexpr uint32_t kKernelInfo = 7;  // Frame, read-only, mapped in every domain
inline constexpr uint32_t kSchedControl = 8, kTagControl = 9, kIrqControl = 10, kIoPorts = 11, kInspect = 12;
inline constexpr uint32_t kFirstUntyped = 16;  // RootInfo::untypeds of them
}  // namespace root

struct RootUntyped {
    uint64_t physical;  // of device and module memory; 0 for free RAM
    uint8_t size_bits;
    uint8_t device;  // 1: MMIO or a module, never zeroed
    uint8_t module;  // 1 + index of the module that lies in it, else 0
    uint8_t reserved[5];
};

struct RootInfo {
    BootInfo boot;
    uint32_t untypeds, first_free_slot;
    RootUntyped untyped[512];
};

// Read-only for every domain: what user level must know of the machine.
struct KernelInfo {
    uint32_t abi_version, cpus;
    uint64_t tsc_khz;
    uint64_t boot_tsc;                    // TSC when the kernel started
    uint64_t object_bytes[kObjectTypes];  // kernel memory per object (CNode: of its header; each slot takes
                                          // 64 more)
    uint64_t features;                    // CpuFeature bits
    char version[64];
    char cpu_name[64];
    uint64_t total_memory;                      // bytes of RAM that the firmware reported
    uint32_t physical_address_bits, virt_kind;  // 0 none, 1 SVM, 2 VMX
};
enum CpuFeature : uint64_t {
    kFeatureNrips = 1,
    kFeatureDecodeAssists = 2,
    kFeatureFlushByAsid = 4,
    kFeatureInvariantTsc = 8,
    kFeatureX2Apic = 16,
    kFeatureHugeGuestPages = 32,
    kFeaturePauseFilter = 64
};

}  // namespace bulkhead::abi
