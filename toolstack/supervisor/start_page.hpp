// SPDX-License-Identifier: Apache-2.0
// The StartInfo page of a domain under construction, and its initial stack as the x86-64 psABI lays it out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "abi/start.hpp"

namespace bulkhead::supervisor {

class StartPage {
  public:
    StartPage(std::string_view name, uint64_t tag, uint32_t incarnation);

    abi::StartInfo& info() { return info_; }
    const abi::StartInfo& info() const { return info_; }
    // false when the page has no room for more.
    bool add(std::string_view name, uint32_t slot, abi::ObjectType type, uint64_t value = 0,
             abi::AddressRange mapped = {});

  private:
    abi::StartInfo info_{};
};

struct StackInputs {
    uint64_t program_headers, program_header_count, entry;  // of the program
    uint64_t vdso, start_info;
    uint64_t random[2];
    std::string_view argv0;
};

// Writes the initial stack at the end of `stack`, whose last byte will be at `top` - 1. Returns the initial
// RSP.
uint64_t write_stack(std::span<std::byte> stack, uint64_t top, const StackInputs& in);

}  // namespace bulkhead::supervisor
