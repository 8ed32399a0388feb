// SPDX-License-Identifier: Apache-2.0
#include "kernel/arch/x86_64/svm/bitmaps.hpp"

namespace bulkhead::arch::svm {
namespace {

// Switched by VMLOAD and VMSAVE, so the guest's own: SYSENTER_*, STAR, LSTAR, CSTAR, SFMASK, FS, GS and
// kernel GS base.
constexpr uint32_t kPassThrough[] = {0x174,      0x175,      0x176,      0xc0000081, 0xc0000082,
                                     0xc0000083, 0xc0000084, 0xc0000100, 0xc0000101, 0xc0000102};

// APM 15.11: two bits an MSR (read, write); ranges 0.., c0000000.., c0010000.. of 2 KiB each; the last 2 KiB
// are reserved.
bool bit_of(uint32_t msr, uint32_t& bit) {
    if (msr < 0x2000)
        bit = msr * 2;
    else if (msr >= 0xc0000000 && msr < 0xc0002000)
        bit = (msr - 0xc0000000) * 2 + 0x800 * 8;
    else
        return false;
    return true;
}

}  // namespace

void fill_bitmaps(uint8_t* iopm, uint8_t* msrpm) {
    for (uint64_t i = 0; i < kIopmBytes; ++i) iopm[i] = 0xff;
    for (uint64_t i = 0; i < kMsrpmBytes; ++i) msrpm[i] = 0xff;
    for (const uint32_t msr : kPassThrough) {
        uint32_t bit = 0;
        if (bit_of(msr, bit)) msrpm[bit / 8] = static_cast<uint8_t>(msrpm[bit / 8] & ~(3u << (bit % 8)));
    }
}

bool bitmaps_safe(const uint8_t* iopm, const uint8_t* msrpm) {
    for (uint64_t i = 0; i < kIopmBytes; ++i)
        if (iopm[i] != 0xff) return false;
    for (uint64_t i = 0; i < kMsrpmBytes; ++i) {
        uint8_t expected = 0xff;
        for (const uint32_t msr : kPassThrough) {
            uint32_t bit = 0;
            if (bit_of(msr, bit) && bit / 8 == i)
                expected = static_cast<uint8_t>(expected & ~(3u << (bit % 8)));
        }
        if (msrpm[i] != expected) return false;
    }
    return true;
}

}  // namespace bulkhead::arch::svm
