// SPDX-License-Identifier: Apache-2.0
#include "toolstack/supervisor/start_page.hpp"

#include <elf.h>

#include <algorithm>
#include <cstring>

namespace bulkhead::supervisor {

StartPage::StartPage(std::string_view name, uint64_t tag, uint32_t incarnation) {
    info_.magic = abi::kStartMagic;
    info_.version = abi::kAbiVersion;
    info_.domain_tag = tag;
    info_.incarnation = incarnation;
    std::memcpy(info_.name, name.data(), std::min(name.size(), sizeof info_.name - 1));
}

bool StartPage::add(std::string_view name, uint32_t slot, abi::ObjectType type, uint64_t value,
                    abi::AddressRange mapped) {
    if (info_.caps == std::size(info_.cap) || name.size() > sizeof info_.cap[0].name) return false;
    abi::NamedCap& cap = info_.cap[info_.caps++];
    std::memcpy(cap.name, name.data(), name.size());
    cap.slot = slot;
    cap.type = static_cast<uint32_t>(type);
    cap.value = value;
    cap.mapped = mapped;
    return true;
}

uint64_t write_stack(std::span<std::byte> stack, uint64_t top, const StackInputs& in) {
    static constexpr std::string_view kTunables =
        "GLIBC_TUNABLES=glibc.malloc.arena_max=1:glibc.pthread.stack_cache_size=1048576";
    uint64_t at = top;
    auto put = [&](const void* data, size_t bytes) {
        at -= bytes;
        std::memcpy(stack.data() + (stack.size() - (top - at)), data, bytes);
        return at;
    };
    const uint8_t zero[16] = {};
    auto put_text = [&](std::string_view text) {
        put(zero, 1);
        return put(text.data(), text.size());
    };
    const uint64_t argv0 = put_text(in.argv0), tunables = put_text(kTunables),
                   random = put(in.random, sizeof in.random);

    const uint64_t words[] = {1,
                              argv0,
                              0,
                              tunables,
                              0,
                              AT_PHDR,
                              in.program_headers,
                              AT_PHENT,
                              sizeof(Elf64_Phdr),
                              AT_PHNUM,
                              in.program_header_count,
                              AT_ENTRY,
                              in.entry,
                              AT_PAGESZ,
                              abi::kPageSize,
                              AT_RANDOM,
                              random,
                              AT_SECURE,
                              0,
                              AT_EXECFN,
                              argv0,
                              AT_SYSINFO_EHDR,
                              in.vdso,
                              abi::kAtBulkhead,
                              in.start_info,
                              AT_NULL,
                              0};
    at = ((at - sizeof words) & ~uint64_t{15}) + sizeof words;
    return put(words, sizeof words);
}

}  // namespace bulkhead::supervisor
