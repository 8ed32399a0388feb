// SPDX-License-Identifier: Apache-2.0
// The system manifest, parsed and validated: what each stub domain is and exactly what it gets. Format:
// docs/manifest.md. Whatever is not understood is refused with the path of its node; a Manifest can only hold
// what makes sense.
#pragma once

#include <array>
#include <cstdint>
#include <expected>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace bulkhead::supervisor {

enum class GrantType : uint8_t {
    Ports,
    IsaIrq,
    SerialPorts,  // of the serial port that carries the console (console=, com1=, com2=)
    SerialIrq,
    AcpiPower,
    AcpiReset,
    AcpiEvent,
    AcpiSci,
    AcpiSmi,
    AcpiTimer,
    AcpiHpet,
    IntelTco,
    Framebuffer,
    BootInfo,
    Log,
    Inspect,
    Keep,
    KeepCNode,
    Bootfs,
    Spawn,
    FreeMemory
};

struct Grant {
    GrantType type;
    std::string name;    // under which the domain finds it in its StartInfo; at most 23 characters
    uint32_t first = 0;  // Ports: first port. IsaIrq: interrupt. KeepCNode: log2 of slots
    uint32_t count = 0;  // Ports: number. Keep: KiB
};

struct Connect {
    std::string service;   // what it accepts as
    bool control = false;  // written "service:control"
};

struct DomainSpec {
    std::string name;         // node name; also the name of the domain
    std::string image;        // path in the bootfs
    uint32_t tag = 0;         // services: the domain's id
    uint32_t memory_kib = 0;  // services only; a template's memory comes with each spawn
    uint32_t cpu = 0;
    uint32_t priority = 0, vcpu_priority = 0, vcpus_max = 0;
    uint32_t weight = 256;
    uint32_t budget_us = 0, period_us = 0;
    std::string accepts;            // name of the connect endpoint that it serves, or empty
    std::vector<Connect> connects;  // services that it may call
    std::vector<Grant> grants;
};

struct Manifest {
    std::vector<DomainSpec> services;  // in start order
    std::vector<DomainSpec> templates;

    const DomainSpec* find_template(std::string_view name) const;
};

// The error is a sentence: "manifest: /services/dom0: connects: no service accepts 'consol'".
std::expected<Manifest, std::string> parse_manifest(std::span<const uint8_t> dtb);

}  // namespace bulkhead::supervisor
