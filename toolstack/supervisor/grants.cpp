// SPDX-License-Identifier: Apache-2.0
#include "toolstack/supervisor/grants.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

namespace bulkhead::supervisor {
namespace {

using abi::ObjectType;
using cap::CapAddr;
using cap::Status;
namespace rights = abi::rights;

constexpr uint64_t kPage = abi::kPageSize;
// Intel's TCO registers follow the PM1 event block at the start of the ACPI I/O space (ICH9 data
// sheet, 13.9); who gets them makes sure of the chipset first.
constexpr uint64_t kTcoPorts = 0x20;
constexpr uint64_t kGap = uint64_t{1}
                          << abi::kHugePageBits;  // between mapped files: a missing page table is the guard

std::unexpected<Status> failed(Status status) {
    return std::unexpected{status};
}

// The next slot of the new domain's root CNode.
std::expected<CapAddr, Status> next(GrantContext& c) {
    if (c.next_slot == c.end_slot) return failed(Status::OutOfMemory);
    return CapAddr{c.domain.cspace_slot, c.next_slot++};
}

Outcome name(GrantContext& c, std::string_view text, CapAddr slot, ObjectType type, uint64_t value = 0,
             abi::AddressRange mapped = {}) {
    if (!c.start.add(text, slot.slot(), type, value, mapped)) return failed(Status::OutOfMemory);
    return {};
}

Outcome give_copy(GrantContext& c, std::string_view text, CapAddr from, uint8_t with, ObjectType type,
                  uint64_t value = 0) {
    const auto slot = next(c);
    if (!slot) return failed(slot.error());
    if (const Status status = cap::sys::cap_copy(*slot, from, with); status != Status::Ok)
        return failed(status);
    return name(c, text, *slot, type, value);
}

Outcome give_badged(GrantContext& c, std::string_view text, CapAddr from, uint8_t with, uint64_t badge) {
    const auto slot = next(c);
    if (!slot) return failed(slot.error());
    if (const Status status = cap::sys::cap_mint(*slot, from, with, badge); status != Status::Ok)
        return failed(status);
    return name(c, text, *slot, ObjectType::Endpoint, badge);
}

Outcome give_ports(GrantContext& c, std::string_view text, uint64_t first, uint64_t count, uint64_t extra = 0,
                   abi::AddressRange mapped = {}) {
    const auto slot = next(c);
    if (!slot) return failed(slot.error());
    const Status status = cap::sys::ioport_mint(*slot, CapAddr{0, abi::root::kIoPorts},
                                                static_cast<uint16_t>(first), static_cast<uint32_t>(count));
    if (status != Status::Ok) return failed(status);
    return name(c, text, *slot, ObjectType::IoPort, first | count << 16 | extra << 40, mapped);
}

// A page range of the bootfs, mapped read-only; the name tells exactly where the bytes are.
Outcome give_file(GrantContext& c, std::string_view text, uint64_t offset, uint64_t bytes) {
    const uint64_t first = offset & ~(kPage - 1),
                   span = ((offset + bytes + kPage - 1) & ~(kPage - 1)) - first;
    // Same position within 2 MiB as in physical memory (and as where the archive is mapped here), so that
    // large pages can be used.
    const uint64_t here = reinterpret_cast<uint64_t>(c.stock.bootfs_frames.bytes().data()) + first;
    const uint64_t address = c.next_address + (here & ((uint64_t{1} << abi::kLargePageBits) - 1));
    c.next_address += (span + 2 * kGap) & ~(kGap - 1);
    if (auto mapped = c.space.map_boot(c.stock.bootfs_frames, first, span, address, abi::map::kRead); !mapped)
        return mapped;
    return name(c, text, CapAddr{}, ObjectType::Frame, bytes, {address + (offset - first), bytes});
}

Outcome give_kept(GrantContext& c, const std::string& text) {
    const auto kept = std::ranges::find(c.domain.kept, text, &Kept::name);
    if (kept == c.domain.kept.end()) return failed(Status::NoCapability);
    const uint64_t base = c.next_address;
    uint64_t at = base;
    for (const auto& frame : kept->frames) {
        const auto identity = cap::sys::cap_identify(frame.address());
        if (!identity.ok()) return failed(identity.status);
        const auto mapped = c.space.map_copy(frame.address(), rights::kRead | rights::kWrite, at,
                                             abi::map::kRead | abi::map::kWrite);
        if (!mapped) return failed(mapped.error());
        at += uint64_t{1} << identity.size_bits;
    }
    c.next_address += (kept->bytes + 2 * kGap) & ~(kGap - 1);
    return name(c, text, CapAddr{}, ObjectType::Frame, kept->bytes, {base, kept->bytes});
}

Outcome give_irq(GrantContext& c, std::string_view text, uint32_t key) {
    const auto irq = std::ranges::find(c.stock.irqs, key, &std::pair<uint32_t, CapAddr>::first);
    if (irq == c.stock.irqs.end()) return failed(Status::NoCapability);
    return give_copy(c, text, irq->second, rights::kAll, ObjectType::IrqHandler, key);
}

// All of a device's memory; the result is exactly where the device is. Empty if there is none: why, the
// supervisor said when it took stock.
std::expected<abi::AddressRange, Status> map_device(GrantContext& c, uint64_t base, uint64_t bytes,
                                                    uint64_t flags) {
    const auto device = std::ranges::find(c.stock.devices, base, &DeviceMemory::base);
    if (device == c.stock.devices.end()) return abi::AddressRange{};
    const uint64_t first = base & ~(kPage - 1),
                   address = c.next_address + (first & ((uint64_t{1} << abi::kLargePageBits) - 1));
    uint64_t at = address;
    for (const auto& [frame, bits] : device->frames) {
        if (const auto mapped = c.space.map_copy(frame, rights::kRead | rights::kWrite, at,
                                                 abi::map::kRead | abi::map::kWrite | flags);
            !mapped)
            return failed(mapped.error());
        at += uint64_t{1} << bits;
    }
    c.next_address += (at - c.next_address + 2 * kGap) & ~(kGap - 1);
    return abi::AddressRange{address + (base - first), bytes};
}

// Without the device, the domain finds no such name.
Outcome give_device(GrantContext& c, std::string_view text, uint64_t base, uint64_t bytes, uint64_t flags) {
    const auto range = map_device(c, base, bytes, flags);
    if (!range) return failed(range.error());
    return range->size == 0 ? Outcome{} : name(c, text, CapAddr{}, ObjectType::Frame, bytes, *range);
}

// The TCO timer's ports, if the chipset has one; `mapped`: the page with its No-Reboot bit.
Outcome give_tco(GrantContext& c, std::string_view text) {
    const abi::BootAcpi& acpi = c.stock.root.boot.acpi;
    if (acpi.intel_tco == 0) return {};
    const auto control = map_device(c, acpi.intel_rcba + abi::kRcbaControlPage, kPage, abi::map::kUncached);
    if (!control) return failed(control.error());
    return give_ports(c, text, acpi.intel_tco, kTcoPorts, 0, *control);
}

// A copy of what boot code found, in memory of the domain.
Outcome give_boot_info(GrantContext& c, std::string_view text) {
    const abi::BootInfo& boot = c.stock.root.boot;
    const uint64_t address = c.next_address, bytes = (sizeof boot + kPage - 1) & ~(kPage - 1);
    const auto fill = [&](uint64_t offset, std::span<std::byte> piece) {
        if (offset < sizeof boot)
            std::memcpy(piece.data(), reinterpret_cast<const std::byte*>(&boot) + offset,
                        std::min(piece.size(), sizeof boot - offset));
    };
    if (auto mapped = c.space.map_new(address, bytes, abi::map::kRead, fill); !mapped) return mapped;
    c.next_address += kGap;
    return name(c, text, CapAddr{}, ObjectType::Frame, sizeof boot, {address, sizeof boot});
}

// Ports that the firmware names; 0: it has none, and the domain finds no such name.
Outcome give_firmware_ports(GrantContext& c, std::string_view text, uint64_t first, uint64_t count,
                            uint64_t extra = 0) {
    return first == 0 ? Outcome{} : give_ports(c, text, first, count, extra);
}

// Of the console's serial port; without one, the domain finds no such name and does without.
Outcome give_serial(GrantContext& c, std::string_view text, bool irq) {
    const abi::BootOptions& chosen = c.stock.root.boot.chosen;
    const abi::ConsoleDevice device = abi::first_serial(chosen);
    if (device == abi::ConsoleDevice::None) return {};
    const abi::SerialOptions& line = abi::serial(chosen, device);
    if (!irq) return give_ports(c, text, line.io_base, 8);
    return line.irq == 0 ? Outcome{} : give_irq(c, text, line.irq);
}

Outcome give(GrantContext& c, const Grant& grant) {
    const abi::BootInfo& boot = c.stock.root.boot;
    switch (grant.type) {
        case GrantType::Ports: return give_ports(c, grant.name, grant.first, grant.count);
        case GrantType::IsaIrq: return give_irq(c, grant.name, grant.first);
        case GrantType::SerialPorts: return give_serial(c, grant.name, false);
        case GrantType::SerialIrq: return give_serial(c, grant.name, true);
        case GrantType::AcpiPower:
            return give_firmware_ports(c, grant.name, boot.pm1a_control, 2, boot.sleep_type_s5a);
        case GrantType::AcpiEvent:
            return give_firmware_ports(c, grant.name, boot.acpi.pm1a_event, boot.acpi.pm1_event_bytes,
                                       boot.acpi.fadt_flags & abi::kFadtPowerButtonIsDevice ? 1 : 0);
        case GrantType::AcpiSmi:
            return give_firmware_ports(c, grant.name, boot.acpi.smi_command, 1, boot.acpi.acpi_enable);
        case GrantType::AcpiTimer:
            return give_firmware_ports(c, grant.name, boot.acpi.pm_timer, 4, boot.acpi.pm_timer_bits);
        case GrantType::IntelTco: return give_tco(c, grant.name);
        case GrantType::AcpiReset: return give_ports(c, grant.name, abi::kResetControlPort, 1);
        case GrantType::AcpiSci: return boot.acpi.pm1a_event == 0 ? Outcome{} : give_irq(c, grant.name, kSci);
        case GrantType::AcpiHpet:
            return give_device(c, grant.name, boot.acpi.hpet, kPage, abi::map::kUncached);
        case GrantType::Framebuffer:
            return give_device(c, grant.name, boot.framebuffer.base, framebuffer_bytes(boot),
                               abi::map::kWriteCombining);
        case GrantType::BootInfo: return give_boot_info(c, grant.name);
        case GrantType::Log:
            return give_copy(c, grant.name, CapAddr{0, abi::root::kLog},
                             rights::kRead | rights::kWrite | rights::kControl, ObjectType::Log);
        case GrantType::Inspect:
            return give_copy(c, grant.name, CapAddr{0, abi::root::kInspect}, rights::kAll,
                             ObjectType::Inspect);
        case GrantType::Keep: return give_kept(c, grant.name);
        case GrantType::Bootfs: return give_file(c, grant.name, 0, c.stock.bootfs.size());
        case GrantType::Spawn:
            return give_badged(c, grant.name, c.stock.mailbox, rights::kWrite | rights::kGrant, kFromSpawner);
        case GrantType::KeepCNode: {
            const auto held = std::ranges::find(c.stock.held, c.domain.name + "/" + grant.name,
                                                &std::pair<std::string, CapAddr>::first);
            if (held == c.stock.held.end()) return failed(Status::NoCapability);
            return give_copy(c, grant.name, held->second, rights::kAll, ObjectType::CNode, grant.first);
        }
        case GrantType::FreeMemory:  // its Untypeds lie in the kept CNode, slots 1..value
            return name(c, grant.name, CapAddr{}, ObjectType::Untyped, c.stock.free_untypeds);
    }
    return failed(Status::BadArgument);
}

Outcome give_accept(GrantContext& c) {
    const DomainSpec& spec = *c.domain.spec;
    if (spec.accepts.empty()) return {};
    const auto service =
        std::ranges::find(c.stock.endpoints, spec.accepts, &std::pair<std::string, CapAddr>::first);
    CapAddr endpoint;
    if (service != c.stock.endpoints.end()) {
        endpoint = service->second;
    } else {  // a template's own: it dies with the domain
        const auto slot = c.keeper.take();
        if (!slot) return failed(slot.error());
        if (const Status status = cap::sys::retype(c.domain.chunks[0], ObjectType::Endpoint, 0, *slot);
            status != Status::Ok)
            return failed(status);
        endpoint = c.domain.control = *slot;
        const auto client = c.keeper.take();
        if (!client) return failed(client.error());
        if (const Status status =
                cap::sys::cap_mint(*client, endpoint, rights::kWrite | rights::kGrant | rights::kDerive, 0);
            status != Status::Ok)
            return failed(status);
        c.domain.control_client = *client;
    }
    return give_copy(c, "accept-" + spec.accepts, endpoint, rights::kRead | rights::kGrant,
                     ObjectType::Endpoint);
}

}  // namespace

Outcome give_grants(GrantContext& c) {
    c.step = "accept";
    if (auto given = give_accept(c); !given) return given;
    for (const Connect& target : c.domain.spec->connects) {
        c.step = "connect-" + target.service + (target.control ? "-control" : "");
        const auto service =
            std::ranges::find(c.stock.endpoints, target.service, &std::pair<std::string, CapAddr>::first);
        if (service == c.stock.endpoints.end()) return failed(Status::NoCapability);
        if (auto given = give_badged(c, c.step, service->second, rights::kWrite | rights::kGrant,
                                     c.domain.tag | (target.control ? abi::kControlRole : 0));
            !given)
            return given;
    }
    constexpr std::pair<const char*, uint8_t> kMailbox[] = {{"fault", kFaultRights},
                                                            {"exit", rights::kWrite | rights::kDerive}};
    for (const auto& [text, with] : kMailbox) {
        c.step = text;
        if (auto given = give_badged(c, text, c.stock.mailbox, with, kFromDomain | c.index); !given)
            return given;
    }
    for (const Grant& grant : c.domain.spec->grants) {
        c.step = grant.name;
        if (auto given = give(c, grant); !given) return given;
    }
    c.step = "kernel";
    if (c.extras.kernel.size != 0)
        if (auto given = give_file(c, c.step, c.extras.kernel.base, c.extras.kernel.size); !given)
            return given;
    c.step = "ramdisk";
    if (c.extras.ramdisk.size != 0)
        if (auto given = give_file(c, c.step, c.extras.ramdisk.base, c.extras.ramdisk.size); !given)
            return given;
    return {};
}

}  // namespace bulkhead::supervisor
