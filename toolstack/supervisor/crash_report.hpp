// SPDX-License-Identifier: Apache-2.0
// What is said about a domain that died of an exception: why, where, its registers, and who called whom as
// far as the frame pointers of its main stack tell. Pure text work over what the dead domain left, none of
// which is believed. docs/debugging.md explains the lines.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "abi/syscall.hpp"

namespace bulkhead::supervisor {

struct Crash {
    std::string_view domain;
    uint64_t vector = 0;
    abi::ThreadRegisters registers{};
    uint64_t image_span = 0;           // bytes of the image from abi::kImageBase on
    uint64_t stack_base = 0;           // of the main thread; another domain's thread may still write it
    std::span<const std::byte> stack;  // empty: it cannot be read
};

inline constexpr unsigned kMaxStackFrames = 16;

// One line each, without line ends.
std::vector<std::string> crash_report(const Crash& crash);

// "image+0x1234" for what addr2line can resolve, "blob+0x…" for the personality, else the bare number.
std::string describe_code(uint64_t address, uint64_t image_span);

}  // namespace bulkhead::supervisor
