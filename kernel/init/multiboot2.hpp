// SPDX-License-Identifier: Apache-2.0
// The information of Multiboot 2 (specification 2.0, 3.6): a list of tags, each with its type and size. Sizes
// are the loader's word: each is checked against the whole.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "boot/acpi/acpi.hpp"

namespace bulkhead::init {

enum class Tag : uint32_t {
    End = 0,
    CommandLine = 1,
    LoaderName = 2,
    Module = 3,
    MemoryMap = 6,
    Framebuffer = 8,
    Efi64SystemTable = 12,
    OldRsdp = 14,
    NewRsdp = 15,
    EfiMemoryMap = 17,
    EfiBootServices = 18,  // not terminated
    Efi64ImageHandle = 20,
};

// One tag's contents, without type and size.
struct TagData {
    const uint8_t* data = nullptr;
    uint32_t size = 0;
    uint64_t physical = 0;

    explicit operator bool() const { return data != nullptr; }
    bool has(size_t offset, size_t bytes) const { return offset <= size && bytes <= size - offset; }
    // What lies outside reads as zero.
    template <typename T>
    T read(size_t offset) const {
        T value{};
        if (has(offset, sizeof(T))) __builtin_memcpy(&value, data + offset, sizeof(T));
        return value;
    }
};

class Multiboot2Tags {
  public:
    static constexpr uint32_t kLargest = 1 << 20;  // a memory map of thousands of entries fits

    // Nothing is in the list if it cannot be read, or is damaged before its end.
    Multiboot2Tags(boot::PhysicalMemory& memory, uint64_t address);
    bool whole() const { return data_ != nullptr; }
    // The `index`-th tag of a type.
    TagData find(Tag type, size_t index = 0) const;

  private:
    bool walk();
    const uint8_t* data_ = nullptr;
    uint32_t size_ = 0;
    uint64_t physical_ = 0;
};

}  // namespace bulkhead::init
