// SPDX-License-Identifier: Apache-2.0
#include "toolstack/supervisor/grants.hpp"

#include <algorithm>
#include <bit>

namespace bulkhead::supervisor {
namespace {

using abi::ObjectType;
using cap::CapAddr;
using cap::Status;
namespace rights = abi::rights;

constexpr uint64_t kPage = abi::kPageSize;
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

Outcome give_ports(GrantContext& c, std::string_view text, uint64_t first, uint64_t count,
                   uint64_t extra = 0) {
    const auto slot = next(c);
    if (!slot) return failed(slot.error());
    const Status status = cap::sys::ioport_mint(*slot, CapAddr{0, abi::root::kIoPorts},
                                                static_cast<uint16_t>(first), static_cast<uint32_t>(count));
    if (status != Status::Ok) return failed(status);
    return name(c, text, *slot, ObjectType::IoPort, first | count << 16 | extra << 40);
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

Outcome give(GrantContext& c, const Grant& grant) {
    const abi::BootInfo& boot = c.stock.root.boot;
    switch (grant.type) {
        case GrantType::Ports: return give_ports(c, grant.name, grant.first, grant.count);
        case GrantType::IsaIrq: {
            const auto irq =
                std::ranges::find(c.stock.irqs, grant.first, &std::pair<uint32_t, CapAddr>::first);
            if (irq == c.stock.irqs.end()) return failed(Status::NoCapability);
            return give_copy(c, grant.name, irq->second, rights::kAll, ObjectType::IrqHandler, grant.first);
        }
        case GrantType::AcpiPower:  // value: first | count << 16 | SLP_TYP of S5 << 40
            if (boot.pm1a_control == 0)
                return {};  // the firmware has none: the domain finds no such name and says so
            return give_ports(c, grant.name, boot.pm1a_control, 2, boot.sleep_type_s5a);
        case GrantType::AcpiReset: {  // value: first | count << 16 | what to write << 40
            const bool acpi = boot.reset_register != 0 && boot.reset_register <= 0xffff;
            return give_ports(c, grant.name, acpi ? boot.reset_register : 0xcf9, 1,
                              acpi ? boot.reset_value : 0x06);
        }
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
    for (const char* text : {"fault", "exit"}) {
        c.step = text;
        if (auto given = give_badged(c, text, c.stock.mailbox, rights::kWrite | rights::kDerive,
                                     kFromDomain | c.index);
            !given)
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
