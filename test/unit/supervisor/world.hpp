// SPDX-License-Identifier: Apache-2.0
// A machine for the supervisor's host tests: memory, the boot module "bootfs", a manifest, and the
// Stock made of them.
#pragma once

#include <elf.h>

#include <bit>
#include <cstdio>

#include "test/unit/fake_kernel/domain.hpp"
#include "toolstack/supervisor/domain_builder.hpp"

namespace supervisor_test {

using namespace bulkhead;
using namespace bulkhead::supervisor;
using abi::CapAddr;
using abi::ObjectType;
using abi::Status;

// Three segments: read-only, executable, and one that is writable and longer in memory than in the file.
inline std::vector<uint8_t> small_image() {
    Elf64_Ehdr header{};
    std::memcpy(header.e_ident, ELFMAG, SELFMAG);
    header.e_ident[EI_CLASS] = ELFCLASS64;
    header.e_machine = EM_X86_64;
    header.e_type = ET_DYN;
    header.e_phentsize = sizeof(Elf64_Phdr);
    header.e_phoff = sizeof header;
    header.e_phnum = 3;
    header.e_entry = 0x1010;
    Elf64_Phdr programs[3]{};
    auto segment = [&](int i, uint32_t flags, uint64_t at, uint64_t file, uint64_t size) {
        programs[i].p_type = PT_LOAD;
        programs[i].p_flags = flags;
        programs[i].p_offset = programs[i].p_vaddr = at;
        programs[i].p_filesz = file;
        programs[i].p_memsz = size;
    };
    segment(0, PF_R, 0, 0x300, 0x300);
    segment(1, PF_R | PF_X, 0x1000, 0x1000, 0x1000);
    segment(2, PF_R | PF_W, 0x2100, 0x200, 0x2800);
    std::vector<uint8_t> out(0x2300, 0x5a);
    std::memcpy(out.data(), &header, sizeof header);
    std::memcpy(out.data() + sizeof header, programs, sizeof programs);
    return out;
}

inline std::vector<uint8_t> archive_of(
    std::initializer_list<std::pair<std::string, std::vector<uint8_t>>> files) {
    std::vector<uint8_t> out;
    auto add = [&](const std::string& name, const std::vector<uint8_t>& data, unsigned mode) {
        char header[111];
        std::snprintf(header, sizeof header, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x", 1u,
                      mode, 0u, 0u, 1u, 0u, static_cast<unsigned>(data.size()), 0u, 0u, 0u, 0u,
                      static_cast<unsigned>(name.size() + 1), 0u);
        out.insert(out.end(), header, header + 110);
        out.insert(out.end(), name.begin(), name.end());
        out.push_back(0);
        out.resize((out.size() + 3) & ~size_t{3});
        out.insert(out.end(), data.begin(), data.end());
        out.resize((out.size() + 3) & ~size_t{3});
    };
    for (const auto& [name, data] : files) add(name, data, 0100644);
    add("TRAILER!!!", {}, 0);
    return out;
}

struct World : fake::Domain {
    static constexpr uint64_t kBootfsAt = 64 << 20;

    std::unique_ptr<abi::RootInfo> root = std::make_unique<abi::RootInfo>();
    Manifest manifest;
    std::optional<BootFrames> bootfs_frames;
    std::optional<Bootfs> bootfs;
    std::optional<Stock> stock;
    std::vector<cap::Cap<cap::Untyped>> forever;

    explicit World(Manifest what) : fake::Domain{27}, manifest{std::move(what)} {
        kernel.give(abi::root::kKernelInfo, ObjectType::Frame, abi::kPageBits, 63 << 20);
        kernel.give(abi::root::kSchedControl, ObjectType::SchedControl);
        kernel.give(abi::root::kTagControl, ObjectType::TagControl);
        kernel.give(abi::root::kIrqControl, ObjectType::IrqControl);
        kernel.give(abi::root::kIoPorts, ObjectType::IoPort);
        kernel.give(abi::root::kInspect, ObjectType::Inspect);
        kernel.give(100, ObjectType::Untyped, 25, 0);
        env.memory.add(CapAddr{0, 100});
        module(0, "bootfs", kBootfsAt, 20,
               archive_of({{"boot/blob", small_image()},
                           {"stubdom/a", small_image()},
                           {"kernel", std::vector<uint8_t>(10000, 'k')}}));
        root->untypeds = root->boot.modules = 1;
        root->boot.pm1a_control = 0x604;
        bootfs_frames = BootFrames::open(env, *root, 0).value();
        bootfs = Bootfs::open(bootfs_frames->bytes()).value();
        const BootFile blob_file = bootfs->find("boot/blob").value();
        auto blob = parse_image(bootfs->contents(blob_file)).value();
        stock.emplace(Stock{env,
                            *root,
                            manifest,
                            *bootfs,
                            *bootfs_frames,
                            blob,
                            blob_file.offset,
                            object(ObjectType::Endpoint),
                            {},
                            {},
                            {},
                            {},
                            0});
        for (const DomainSpec& spec : manifest.services)
            if (!spec.accepts.empty())
                stock->endpoints.emplace_back(spec.accepts, object(ObjectType::Endpoint));
    }

    void module(uint32_t index, const char* name, uint64_t at, uint8_t bits,
                const std::vector<uint8_t>& bytes) {
        std::memcpy(kernel.memory(at), bytes.data(), bytes.size());
        kernel.give(abi::root::kFirstUntyped + index, ObjectType::Untyped, bits, at).device = true;
        root->untyped[index] = {at, bits, 1, static_cast<uint8_t>(index + 1), {}};
        auto& made = root->boot.module[index];
        std::strncpy(made.name, name, sizeof made.name - 1);
        made.base = at;
        made.size = bytes.size();
    }
    CapAddr object(ObjectType type) {
        auto memory = env.memory.untyped(12);
        const auto slot = env.cspace.slots().allocate();
        if (cap::sys::retype(memory->address(), type, 0, *slot) != Status::Ok) std::abort();
        forever.push_back(std::move(*memory));
        return *slot;
    }

    struct State {
        uint32_t slots;
        size_t nodes;
        uint64_t bytes;
        friend bool operator==(const State&, const State&) = default;
    };
    // Page tables of our own window stay for good: compare after everything was done once.
    State state() { return {env.cspace.slots().available(), kernel.nodes(), env.memory.free_bytes()}; }
};

inline DomainSpec service(std::string name, uint32_t tag) {
    DomainSpec spec;
    spec.name = std::move(name);
    spec.image = "stubdom/a";
    spec.tag = tag;
    spec.memory_kib = 4096;
    spec.priority = 30;
    return spec;
}

}  // namespace supervisor_test
