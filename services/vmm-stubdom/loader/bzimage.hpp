// SPDX-License-Identifier: Apache-2.0
// The Linux/x86 boot protocol, as far as finding the compressed kernel inside a bzImage goes
// (Documentation/x86/boot.rst, fields payload_offset and payload_length of protocol 2.08).
#pragma once

#include <cstdint>

#include "services/vmm-stubdom/loader/image_reader.hpp"
#include "services/vmm-stubdom/loader/load_error.hpp"

namespace bulkhead::vmm {

struct BzImagePayload {
    ImageBytes compressed;            // with the recorded size, which for gzip belongs to the stream
    std::uint32_t recorded_size = 0;  // what the last four bytes say the payload unpacks to
};

[[nodiscard]] bool is_bzimage(ImageBytes image);
[[nodiscard]] Loaded<BzImagePayload> parse_bzimage(ImageBytes image);

}  // namespace bulkhead::vmm
