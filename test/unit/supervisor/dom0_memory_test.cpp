// SPDX-License-Identifier: Apache-2.0
#include "toolstack/supervisor/dom0_memory.hpp"

#include <catch2/catch.hpp>

using namespace bulkhead;
using namespace bulkhead::supervisor;

namespace {

constexpr int64_t kMiB = 1 << 20, kGiB = 1 << 30;
constexpr uint32_t kManifest = 16 << 10;

abi::MemoryWish size(int64_t bytes, uint32_t percent = 0) {
    return {bytes, percent, 1};
}
Dom0Memory of(abi::MemoryWish exact, abi::MemoryWish least = {}, abi::MemoryWish most = {},
              uint64_t total = 2 * kGiB) {
    abi::BootOptions chosen = abi::default_options();
    chosen.dom0_mem = exact;
    chosen.dom0_mem_min = least;
    chosen.dom0_mem_max = most;
    return dom0_memory(chosen, kManifest, total);
}

}  // namespace

TEST_CASE("dom0_mem: followed within what dom0 needs and what makes sense") {
    CHECK(of({}).kib == kManifest);
    CHECK(of(size(64 * kMiB)).kib == 64 << 10);
    CHECK(of(size(4 * kMiB)).kib == kManifest);
    CHECK(of(size(1 * kGiB)).kib == 256 << 10);
    CHECK(of(size(1 * kGiB)).asked_kib == 1 << 20);
    CHECK(of(size(1 * kGiB), {}, {}, 512 * kMiB).kib == 64 << 10);
    CHECK(of(size(1 * kGiB), {}, {}, 64 * kMiB).kib == kManifest);
}

TEST_CASE("dom0_mem: parts of all memory, less than all, min and max") {
    CHECK(of(size(0, 5), {}, {}, 1000 * kMiB).kib == 50 << 10);
    CHECK(of(size(16 * kMiB, 2), {}, {}, 1000 * kMiB).kib == 36 << 10);
    CHECK(of(size(-2000 * kMiB)).kib == 48 << 10);
    CHECK(of(size(-4 * kGiB)).kib == kManifest);
    CHECK(of({}, size(32 * kMiB)).kib == 32 << 10);
    CHECK(of(size(64 * kMiB), size(128 * kMiB), size(32 * kMiB)).kib == 32 << 10);  // max overrides min
}
