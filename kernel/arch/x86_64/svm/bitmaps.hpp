// SPDX-License-Identifier: Apache-2.0
// Permission maps shared by all guests: every port exits; every MSR exits but a fixed list that belongs to
// the guest alone.
#pragma once

#include <stdint.h>

namespace bulkhead::arch::svm {

inline constexpr uint64_t kIopmBytes = 12 * 1024, kMsrpmBytes = 8 * 1024;

// Default deny: fills both with ones, then opens the list. (A zeroed map would let the guest run on the
// host's devices and MSRs.)
void fill_bitmaps(uint8_t* iopm, uint8_t* msrpm);
// For the check before the first VMRUN: true if exactly the list is open.
bool bitmaps_safe(const uint8_t* iopm, const uint8_t* msrpm);

}  // namespace bulkhead::arch::svm
