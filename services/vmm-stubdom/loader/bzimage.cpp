// SPDX-License-Identifier: Apache-2.0
#include "services/vmm-stubdom/loader/bzimage.hpp"

#include <string>

namespace bulkhead::vmm {
namespace {

constexpr std::uint64_t kSetupSects = 0x1f1;
constexpr std::uint64_t kBootFlag = 0x1fe;
constexpr std::uint64_t kHeaderMagic = 0x202;
constexpr std::uint64_t kVersion = 0x206;
constexpr std::uint64_t kPayloadOffset = 0x248;
constexpr std::uint64_t kPayloadLength = 0x24c;
constexpr std::uint32_t kHdrS = 0x53726448;
constexpr std::uint16_t kFirstWithPayload = 0x0208;
constexpr std::uint64_t kSector = 512;

std::string truncated(std::uint64_t needed, std::uint64_t present) {
    return "the kernel image is truncated: its header describes " + std::to_string(needed) +
           " bytes, the file has " + std::to_string(present);
}

}  // namespace

bool is_bzimage(ImageBytes image) {
    return read_at<std::uint16_t>(image, kBootFlag) == 0xaa55 &&
           read_at<std::uint32_t>(image, kHeaderMagic) == kHdrS;
}

Loaded<BzImagePayload> parse_bzimage(ImageBytes image) {
    if (!is_bzimage(image))
        return load_error("the kernel image is not a bzImage: it has no boot protocol header");
    const auto version = read_at<std::uint16_t>(image, kVersion);
    const auto offset = read_at<std::uint32_t>(image, kPayloadOffset);
    const auto length = read_at<std::uint32_t>(image, kPayloadLength);
    if (!version || !offset || !length) return load_error(truncated(kPayloadLength + 4, image.size()));
    if (*version < kFirstWithPayload) {
        return load_error(
            "the kernel image uses boot protocol " + std::to_string(*version >> 8) + "." +
            std::to_string(*version & 0xff) +
            ", which does not say where the kernel proper is; 2.8 (Linux 2.6.26) or later is needed");
    }
    std::uint64_t setup_sectors = std::to_integer<std::uint8_t>(image[kSetupSects]);
    if (setup_sectors == 0) setup_sectors = 4;  // the protocol's historical default
    const std::uint64_t start = (setup_sectors + 1) * kSector + *offset;
    if (*offset == 0 || *length <= 4) return load_error("the kernel image is damaged: its payload is empty");
    const auto payload = slice(image, start, *length);
    if (!payload) return load_error(truncated(start + *length, image.size()));
    return BzImagePayload{*payload, *read_at<std::uint32_t>(*payload, *length - 4)};
}

}  // namespace bulkhead::vmm
