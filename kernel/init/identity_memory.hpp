// SPDX-License-Identifier: Apache-2.0
// Physical memory during boot: the low 4 GiB are identity-mapped.
#pragma once

#include "boot/acpi/acpi.hpp"

namespace bulkhead::init {

class IdentityMemory final : public boot::PhysicalMemory {
  public:
    const uint8_t* map(uint64_t physical, size_t bytes) override {
        constexpr uint64_t kEnd = uint64_t{1} << 32;
        return physical != 0 && physical < kEnd && bytes <= kEnd - physical
                   ? reinterpret_cast<const uint8_t*>(physical)
                   : nullptr;
    }
};

}  // namespace bulkhead::init
