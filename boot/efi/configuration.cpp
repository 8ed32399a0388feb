// SPDX-License-Identifier: Apache-2.0
#include "boot/efi/configuration.hpp"

#include "boot/config/search.hpp"

namespace bulkhead::boot {
namespace {

constexpr uint64_t kPage = 4096;
constexpr unsigned kMaxChain = 8;

char found_name[ConfigSearch::kMaxName + 4];

std::string_view search(Volume& volume) {
    ConfigSearch names{volume.own_name()};
    for (std::string_view name = names.next(); !name.empty(); name = names.next())
        if (volume.exists(name)) {
            __builtin_memcpy(found_name, name.data(), name.size());
            return {found_name, name.size()};
        }
    print("bulkhead.efi: there is no configuration. Looked in '");
    print_wide(volume.directory());
    print("' for");
    ConfigSearch again{volume.own_name()};
    for (std::string_view name = again.next(); !name.empty(); name = again.next()) {
        print(" ");
        print(name);
    }
    print("; write one of them, or name another file by -cfg=FILE\n");
    leave(EFI_NOT_FOUND, true);
}

std::string_view without_padding(std::span<const uint8_t> section) {
    size_t size = section.size();
    while (size > 0 && section[size - 1] == 0) size--;
    return {reinterpret_cast<const char*>(section.data()), size};
}

}  // namespace

Configuration read_configuration(Volume& volume, const EmbeddedFiles& embedded, const Arguments& arguments) {
    std::string_view name = arguments.config, text;
    if (!embedded.config.empty()) {
        if (!name.empty()) note({}, "the configuration inside this image is used; ignored is -cfg=", name);
        name = ".config";
        text = without_padding(embedded.config);
    } else {
        if (name.empty()) name = search(volume);
        text = volume.read(name, {}, kPage, kMaxConfigBytes).text();
    }
    std::string_view section = arguments.section;
    for (unsigned depth = 0;; depth++) {
        const ConfigResult result = parse_config(text, section, !embedded.kernel.empty());
        if (result.ok) return {result.config, name};
        if (result.chain.empty()) fail({name, result.error.line}, result.error.message, result.error.word);
        if (depth == kMaxChain)
            fail({name}, "more than 8 files follow each other by chain=, the last one", result.chain);
        section = result.config.section;
        text = volume.read(result.chain, {name}, kPage, kMaxConfigBytes).text();
        name = result.chain;
    }
}

}  // namespace bulkhead::boot
