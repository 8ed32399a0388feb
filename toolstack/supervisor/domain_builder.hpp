// SPDX-License-Identifier: Apache-2.0
// Makes a running stub domain of a specification, an image and memory: address space, capabilities, start
// information. Everything it makes comes from the domain's first chunk, so that revoking the chunks undoes
// all of it, however far it came.
#pragma once

#include <expected>
#include <string>

#include "abi/spawn.hpp"
#include "abi/start.hpp"
#include "toolstack/supervisor/address_space.hpp"
#include "toolstack/supervisor/bootfs.hpp"
#include "toolstack/supervisor/device_memory.hpp"
#include "toolstack/supervisor/domain.hpp"
#include "toolstack/supervisor/image.hpp"

namespace bulkhead::supervisor {

inline constexpr uint32_t kSci = 0x100;  // Stock::irqs: the ACPI interrupt

// What the supervisor has to give, the same for all domains.
struct Stock {
    cap::Environment& env;
    const abi::RootInfo& root;
    const Manifest& manifest;
    const Bootfs& bootfs;
    const BootFrames& bootfs_frames;
    Image blob;            // the personality of every stub domain
    uint64_t blob_offset;  // in bootfs
    cap::CapAddr mailbox;  // all rights
    std::vector<std::pair<std::string, cap::CapAddr>>
        endpoints;                                        // connect endpoints of the services, by name
    std::vector<std::pair<uint32_t, cap::CapAddr>> irqs;  // claimed, by ISA number, or kSci
    std::vector<std::pair<std::string, cap::CapAddr>>
        held;                           // "domain/grant": CNodes kept between a service's lives
    std::vector<DeviceMemory> devices;  // that somebody is granted
    uint32_t free_untypeds = 0;         // the machine's free memory: slots 1..n of dom0's kept CNode
};

// What a spawn asks for beyond its template. For services: none of it.
struct SpawnExtras {
    uint32_t vcpus = 0;
    uint32_t weight = 256;
    uint8_t vcpu_cpu[16] = {};
    abi::AddressRange kernel{}, ramdisk{};  // offsets in the bootfs
};

using BuildResult = std::expected<void, std::string>;

// `domain` has spec, name, tag, chunks, kept and incarnation; index is that of its record. On success it
// runs.
BuildResult build_domain(Stock& stock, Domain& domain, uint32_t index, const SpawnExtras& extras);

// Revokes all its memory and frees our slots. The chunks stay, empty.
void take_down(Stock& stock, Domain& domain);

}  // namespace bulkhead::supervisor
