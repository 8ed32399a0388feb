// SPDX-License-Identifier: Apache-2.0
// Guest RAM for tests, optionally in several segments.
#pragma once

#include <sys/mman.h>

#include <vector>

#include "services/vmm-stubdom/memory/guest_memory.hpp"

namespace bulkhead::vmm::test {

class TestRam {
  public:
    explicit TestRam(std::uint64_t size, std::uint64_t base = 0)
        : size_(size),
          host_(static_cast<std::byte*>(mmap(nullptr, size, PROT_READ | PROT_WRITE,
                                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0))),
          base_(base) {}
    ~TestRam() { munmap(host_, size_); }
    TestRam(const TestRam&) = delete;
    TestRam& operator=(const TestRam&) = delete;

    [[nodiscard]] GuestMemory::Segment segment() const { return {GuestPhys(base_), size_, host_}; }
    [[nodiscard]] GuestMemory memory() const {
        const GuestMemory::Segment one = segment();
        return *GuestMemory::create({&one, 1});
    }
    [[nodiscard]] std::byte* host() const { return host_; }

  private:
    std::uint64_t size_;
    std::byte* host_;
    std::uint64_t base_;
};

}  // namespace bulkhead::vmm::test
