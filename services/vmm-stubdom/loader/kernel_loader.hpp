// SPDX-License-Identifier: Apache-2.0
// Puts a kernel image into guest RAM, before the guest first runs.
//
// A compressed kernel is unpacked so that most of it needs no copying afterwards. The first page, unpacked
// aside, says which segment goes how far from its place in the file; the file is then unpacked at the
// greatest of these distances:
//
//     file      | hdr | seg 0      | seg 1    |gap| seg 2   |        unpacked at base D = max(address -
//     offset) memory    | hdr | seg 0      | seg 1    | seg 2   | bss |      seg 0, 1 are in place; seg 2
//     moves down
//
// Every segment then is in place or moves down, in ascending order, over bytes that were moved before. Where
// the order in memory is not the order in the file, D is past the last segment. Debian's kernel of 53 MB
// moves 14 MB.
#pragma once

#include <cstdint>

#include "services/vmm-stubdom/loader/guest_layout.hpp"
#include "services/vmm-stubdom/loader/image_reader.hpp"
#include "services/vmm-stubdom/loader/load_error.hpp"
#include "services/vmm-stubdom/memory/guest_memory.hpp"

namespace bulkhead::vmm {

struct LoadedKernel {
    std::uint32_t entry = 0;  // PVH, guest-physical
    std::uint64_t lowest = 0;
    std::uint64_t highest = 0;  // end of the last segment, .bss included
};

// `image` must not lie in guest memory. Uses RAM from 1 MiB to layout.low_top() as scratch and leaves remains
// there.
[[nodiscard]] Loaded<LoadedKernel> load_kernel(const GuestMemory& memory, const GuestLayout& layout,
                                               ImageBytes image);

}  // namespace bulkhead::vmm
