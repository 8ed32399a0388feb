// SPDX-License-Identifier: Apache-2.0
// Any text as bulkhead.cfg, any section asked for: no crash, an error has a place and a reason, and all that
// is accepted points into the file.
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "boot/config/config.hpp"

using namespace bulkhead::boot;

namespace {

void require(bool condition) {
    if (!condition) std::abort();
}

struct Within {
    std::string_view text;
    void operator()(std::string_view part) const {
        require(part.empty() ||
                (part.data() >= text.data() && part.data() + part.size() <= text.data() + text.size()));
        require(part.find('\n') == part.npos);
    }
};

void check(std::string_view text, std::string_view section, bool kernel_embedded) {
    const ConfigResult result = parse_config(text, section, kernel_embedded);
    const Within within{text};
    if (!result.ok) {
        require(result.error.message != nullptr && result.error.message[0] != '\0');
        uint32_t lines = 1;
        for (const char c : text) lines += c == '\n';
        require(result.error.line <= lines);
        within(result.chain);
        return;
    }
    const Config& config = result.config;
    if (section.empty()) within(config.section);
    for (const FileLine* line :
         {&config.options, &config.kernel, &config.ramdisk, &config.dtb, &config.ucode, &config.video})
        within(line->file), within(line->arguments);
    require(kernel_embedded || !config.kernel.file.empty());
    require(config.modules <= kMaxModules);
    for (size_t i = 0; i < config.modules; i++) {
        require(!config.module[i].file.empty());
        within(config.module[i].file), within(config.module[i].arguments);
    }
    require(section.empty() || config.section == section);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    // A copy of exactly this size, so that a byte read beyond the end is seen.
    char* copy = static_cast<char*>(std::malloc(size ? size : 1));
    if (size) std::memcpy(copy, data, size);
    const std::string_view text{copy, size};
    check(text, {}, false);
    check(text, "bulkhead", true);
    check(text, text.substr(0, text.find('\n')), false);
    std::free(copy);
    return 0;
}
