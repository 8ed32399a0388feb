// SPDX-License-Identifier: Apache-2.0
// The root task: takes stock of what the kernel gave, then lets the Supervisor live.
#include <algorithm>
#include <bit>
#include <cstdio>
#include <cstring>

#include "toolstack/supervisor/dom0_memory.hpp"
#include "toolstack/supervisor/supervisor.hpp"

namespace bulkhead::supervisor {
namespace {

using cap::CapAddr;
using cap::Status;

[[noreturn]] void stop(const std::string& why) {
    cap::log_line(why + "; the machine cannot start its services. Reset it and boot with a repaired image.");
    for (;;)
        cap::drop(cap::sys::wait(CapAddr{}, abi::kDeadlineNever)),
            cap::drop(cap::sys::thread_suspend(cap::kMainThread));
}

std::optional<uint32_t> module_index(const abi::RootInfo& root, const char* name) {
    for (uint32_t i = 0; i < root.boot.modules; i++)
        if (std::strncmp(root.boot.module[i].name, name, sizeof root.boot.module[i].name) == 0) return i;
    return std::nullopt;
}

BootFrames open_module(cap::Environment& env, const abi::RootInfo& root, const char* name) {
    const auto index = module_index(root, name);
    if (!index) stop(std::string{"supervisor: the boot module '"} + name + "' is missing");
    auto frames = BootFrames::open(env, root, *index);
    if (!frames)
        stop(std::string{"supervisor: the boot module '"} + name +
             "' cannot be mapped: " + cap::describe(frames.error()));
    return std::move(*frames);
}

CapAddr new_object(cap::Environment& env, abi::ObjectType type, uint64_t size, const char* what) {
    auto memory =
        env.memory.untyped(abi::kPageBits > size + 6 ? abi::kPageBits : static_cast<unsigned>(size) + 7);
    const auto slot = env.cspace.slots().allocate();
    if (!memory || !slot) stop(std::string{"supervisor: no memory for "} + what);
    if (const Status status = cap::sys::retype(memory->address(), type, size, *slot); status != Status::Ok)
        stop(std::string{"supervisor: cannot make "} + what + ": " + cap::describe(status));
    static std::vector<cap::Cap<cap::Untyped>> forever;  // what is made here lives as long as the machine
    forever.push_back(std::move(*memory));
    return *slot;
}

void claim(Stock& stock, uint32_t key, uint32_t gsi, uint32_t flags) {
    const auto slot = stock.env.cspace.slots().allocate();
    if (!slot) stop("supervisor: has no free slots");
    const Status status = cap::sys::irq_claim(CapAddr{0, abi::root::kIrqControl}, gsi, flags, *slot);
    if (status == Status::Ok)
        stock.irqs.emplace_back(key, *slot);
    else
        cap::log_line("supervisor: interrupt " + std::to_string(gsi) +
                      " cannot be claimed: " + cap::describe(status));
}

// ISA interrupts are edge-triggered and active high unless the MADT overrides them (ACPI 6.5, 5.2.12.5).
void claim_isa(Stock& stock, uint32_t isa) {
    uint32_t gsi = isa, flags = abi::kIrqEdge;
    for (uint32_t i = 0; i < stock.root.boot.overrides; i++)
        if (stock.root.boot.irq_override[i].source == isa)
            gsi = stock.root.boot.irq_override[i].gsi, flags = stock.root.boot.irq_override[i].flags;
    claim(stock, isa, gsi, flags);
}

void claim_serial(Stock& stock) {
    const abi::BootOptions& chosen = stock.root.boot.chosen;
    const abi::ConsoleDevice device = abi::first_serial(chosen);
    if (device == abi::ConsoleDevice::None) return;
    if (const uint32_t irq = abi::serial(chosen, device).irq) claim_isa(stock, irq);
}

void take_device(Stock& stock, uint64_t base, uint64_t bytes, const char* what) {
    if (bytes == 0) return;
    auto device = DeviceMemory::take(stock.env, stock.root, base, bytes);
    if (device)
        stock.devices.push_back(std::move(*device));
    else
        cap::log_line(std::string{"supervisor: the "} + what +
                      " that the firmware names cannot be used: " + cap::describe(device.error()));
}

// What a grant needs that exists once: claimed before anybody starts, kept for ever.
void prepare_grant(Stock& stock, const DomainSpec& spec, const Grant& grant) {
    const abi::BootInfo& boot = stock.root.boot;
    switch (grant.type) {
        case GrantType::IsaIrq: return claim_isa(stock, grant.first);
        case GrantType::SerialIrq: return claim_serial(stock);
        case GrantType::AcpiSci:
            if (boot.acpi.pm1a_event != 0) claim(stock, kSci, boot.acpi.sci_gsi, boot.acpi.sci_flags);
            return;
        case GrantType::AcpiHpet:
            return take_device(stock, boot.acpi.hpet, boot.acpi.hpet != 0 ? abi::kPageSize : 0, "HPET");
        case GrantType::IntelTco:
            return take_device(stock, boot.acpi.intel_rcba + abi::kRcbaControlPage,
                               boot.acpi.intel_rcba != 0 ? abi::kPageSize : 0, "chipset's register block");
        case GrantType::Framebuffer:
            return take_device(stock, boot.framebuffer.base, framebuffer_bytes(boot), "screen");
        case GrantType::KeepCNode: {
            const CapAddr table = new_object(stock.env, abi::ObjectType::CNode, grant.first, "a kept CNode");
            cap::drop(cap::sys::tag_set(CapAddr{0, abi::root::kTagControl}, table, spec.tag));
            stock.held.emplace_back(spec.name + "/" + grant.name, table);
            return;
        }
        default: return;
    }
}

// dom0_mem= means the domain that may spawn others.
void size_dom0(Manifest& manifest, const abi::RootInfo& root, uint64_t total) {
    const abi::BootOptions& chosen = root.boot.chosen;
    if (!chosen.dom0_mem.given && !chosen.dom0_mem_min.given && !chosen.dom0_mem_max.given) return;
    for (DomainSpec& spec : manifest.services) {
        if (std::ranges::find(spec.grants, GrantType::Spawn, &Grant::type) == spec.grants.end()) continue;
        const Dom0Memory memory = dom0_memory(chosen, spec.memory_kib, total);
        cap::log_line("supervisor: dom0_mem= asks for " + std::to_string(memory.asked_kib) + " KiB; " +
                          spec.name + " gets " + std::to_string(memory.kib) + " KiB (it can have " +
                          std::to_string(spec.memory_kib) + " to " + std::to_string(memory.most_kib) +
                          "; guests' memory is not part of it)",
                      abi::LogLevel::Info);
        spec.memory_kib = memory.kib;
    }
}

// What services share or keep: endpoints that outlive them, interrupts, CNodes, the machine's free memory.
void stock_up(Stock& stock) {
    for (const DomainSpec& spec : stock.manifest.services) {
        if (!spec.accepts.empty())
            stock.endpoints.emplace_back(spec.accepts,
                                         new_object(stock.env, abi::ObjectType::Endpoint, 0, "an endpoint"));
        for (const Grant& grant : spec.grants) prepare_grant(stock, spec, grant);
    }
}

constexpr uint64_t kOwnReserve = 4 << 20;  // for the supervisor's own growth

// All free memory that the services do not need goes to the kept CNode of the domain with "free-memory",
// slots 1, 2, …
void give_free_memory(Stock& stock, uint64_t keep_bytes) {
    for (const DomainSpec& spec : stock.manifest.services)
        for (const Grant& grant : spec.grants) {
            if (grant.type != GrantType::FreeMemory) continue;
            const auto held = std::ranges::find_if(
                stock.held, [&](const auto& h) { return h.first.starts_with(spec.name + "/"); });
            if (held == stock.held.end())
                stop("supervisor: manifest: /services/" + spec.name + "/" + grant.name +
                     ": needs a keep-cnode beside it");
            for (unsigned bits = 40; bits >= abi::kLargePageBits; bits--)
                while (stock.env.memory.free_bytes() >= keep_bytes + (uint64_t{1} << bits) &&
                       stock.free_untypeds < 200) {
                    auto chunk = stock.env.memory.untyped(bits);
                    if (!chunk) break;
                    if (const Status status =
                            cap::sys::retype(chunk->address(), abi::ObjectType::Untyped, bits,
                                             CapAddr{held->second.slot(), uint32_t{stock.free_untypeds + 1}});
                        status != Status::Ok)
                        stop(std::string{"supervisor: cannot hand over free memory: "} +
                             cap::describe(status));
                    static std::vector<cap::Cap<cap::Untyped>> forever;
                    forever.push_back(std::move(*chunk));
                    stock.free_untypeds++;
                }
        }
}

}  // namespace
}  // namespace bulkhead::supervisor

int main() {
    using namespace bulkhead;
    using namespace bulkhead::supervisor;
    const abi::StartInfo* start = cap::start_info();
    if (!start) {
        std::fputs("supervisor: this program is Bulkhead's root task; it runs on Bulkhead's kernel only\n",
                   stderr);
        return 1;
    }
    static cap::Environment env{*start};
    const abi::NamedCap* info = cap::find_cap(*start, "root-info");
    if (!info) stop("supervisor: the kernel did not say where its RootInfo is");
    const auto& root = *reinterpret_cast<const abi::RootInfo*>(info->mapped.base);
    for (uint32_t i = 0; i < root.untypeds; i++)
        if (root.untyped[i].device == 0 && root.untyped[i].size_bits >= abi::kPageBits)
            env.memory.add(cap::CapAddr{0, abi::root::kFirstUntyped + i});

    static const BootFrames manifest_frames = open_module(env, root, "manifest"),
                            bootfs_frames = open_module(env, root, "bootfs");
    static auto manifest = parse_manifest(manifest_frames.bytes());
    if (!manifest) stop(manifest.error());
    size_dom0(*manifest, root, env.kernel.total_memory);
    static auto bootfs = Bootfs::open(bootfs_frames.bytes());
    if (!bootfs) stop(bootfs.error());
    const auto blob_file = bootfs->find("boot/blob");
    if (!blob_file) stop("supervisor: bootfs: boot/blob, the personality of every stub domain, is missing");
    auto blob = parse_image(bootfs->contents(*blob_file));
    if (!blob) stop("supervisor: bootfs: boot/blob: " + blob.error());
    static Stock stock{env,
                       root,
                       *manifest,
                       *bootfs,
                       bootfs_frames,
                       *blob,
                       blob_file->offset,
                       new_object(env, abi::ObjectType::Endpoint, 0, "its mailbox"),
                       {},
                       {},
                       {},
                       {},
                       0};
    stock_up(stock);
    auto self = Supervisor::create(stock);
    if (!self) stop(self.error());
    (*self)->reserve_services();
    give_free_memory(stock, kOwnReserve);
    cap::log_line("supervisor: starting " + std::to_string(manifest->services.size()) + " services",
                  abi::LogLevel::Info);
    (*self)->start_services();
    (*self)->run();
}
