// SPDX-License-Identifier: Apache-2.0
// What the UEFI loader takes from others besides its configuration: load options, sections of its own image,
// the kernel's ELF file, its own file name. No crash, and what is found lies in what was given.
#include <array>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "boot/config/arguments.hpp"
#include "boot/config/embedded.hpp"
#include "boot/config/search.hpp"
#include "boot/config/video.hpp"
#include "boot/efi/kernel_image.hpp"

using namespace bulkhead::boot;

namespace {

void require(bool condition) {
    if (!condition) std::abort();
}

void options(std::span<const uint8_t> bytes) {
    std::array<char, kMaxArguments> out;
    const std::string_view text = decode_load_options(bytes, out);
    for (const char c : text) require((c >= 0x20 && c <= 0x7e) || c == '\t');
    for (const bool first_is_program : {false, true}) {
        const Arguments a = parse_arguments(text, first_is_program);
        for (const std::string_view part : {a.config, a.section, a.hypervisor, a.unknown})
            require(part.empty() ||
                    (part.data() >= text.data() && part.data() + part.size() <= text.data() + text.size()));
    }
    parse_video(text);
    ConfigSearch search{text};
    size_t names = 0;
    for (std::string_view name = search.next(); !name.empty(); name = search.next())
        require(++names <= ConfigSearch::kMaxName + 2);
    require(names >= 1);
}

void sections(std::span<const uint8_t> image) {
    const EmbeddedFiles files = find_embedded(image);
    require(files.modules <= kMaxEmbedded);
    const auto within = [&](std::span<const uint8_t> data) {
        require(data.empty() ||
                (data.data() >= image.data() && data.data() + data.size() <= image.data() + image.size()));
    };
    within(files.config), within(files.kernel);
    for (size_t i = 0; i < files.modules; i++) within(files.module[i].data);
}

void kernel(std::span<const uint8_t> file) {
    is_linux_image(file);
    const KernelLayout layout = check_kernel(file);
    if (layout.error) return;
    require(layout.entry_offset < layout.bytes && layout.bytes % 4096 == 0);
    if (layout.bytes > (1 << 20)) return;
    std::vector<uint8_t> memory(layout.bytes);
    place_kernel(file, memory.data());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    // A copy of exactly this size, so that a byte read beyond the end is seen.
    auto* copy = static_cast<uint8_t*>(std::malloc(size ? size : 1));
    if (size) std::memcpy(copy, data, size);
    options({copy, size});
    sections({copy, size});
    kernel({copy, size});
    std::free(copy);
    return 0;
}
