// SPDX-License-Identifier: Apache-2.0
// Loads arbitrary bytes as a kernel into a small guest: no crash, no access outside guest memory, no hang;
// what loads has its entry point inside guest memory.
#include <cstdlib>
#include <memory>

#include "services/vmm-stubdom/loader/kernel_loader.hpp"

namespace {

using namespace bulkhead::vmm;

constexpr std::uint64_t kRam = 8U << 20;

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const auto ram = std::make_unique<std::byte[]>(kRam);
    const GuestMemory::Segment segment{GuestPhys(0), kRam, ram.get()};
    const auto memory = GuestMemory::create({&segment, 1});
    const ImageBytes image(reinterpret_cast<const std::byte*>(data), size);
    const auto kernel = load_kernel(*memory, GuestLayout(kRam), image);
    if (kernel && (kernel->entry < kKernelRamBase || kernel->entry >= kRam)) std::abort();
    if (!kernel && kernel.error().sentence.empty()) std::abort();
    return 0;
}
