// SPDX-License-Identifier: Apache-2.0
#include "kernel/init/limits.hpp"

#include <catch2/catch.hpp>
#include <initializer_list>
#include <memory>
#include <vector>

using namespace bulkhead;
using abi::MemoryRange;
using abi::MemoryType;
using init::limit_cpus;
using init::limit_memory;

namespace {

constexpr uint64_t kMiB = 1 << 20;

std::unique_ptr<abi::BootInfo> machine(std::initializer_list<MemoryRange> ranges) {
    auto info = std::make_unique<abi::BootInfo>();
    for (const MemoryRange& range : ranges) info->range[info->ranges++] = range;
    return info;
}

std::vector<uint32_t> cpus(std::initializer_list<uint32_t> ids, const abi::BootOptions& chosen,
                           unsigned shift) {
    auto info = std::make_unique<abi::BootInfo>();
    info->chosen = chosen;
    for (const uint32_t id : ids) info->cpu[info->cpus++].apic_id = id;
    limit_cpus(*info, shift);
    std::vector<uint32_t> left;
    for (uint32_t i = 0; i < info->cpus; i++) left.push_back(info->cpu[i].apic_id);
    return left;
}

}  // namespace

TEST_CASE("limits: mem= cuts free memory and nothing else") {
    auto info = machine({{1 * kMiB, 15 * kMiB, MemoryType::Free, 0},
                         {16 * kMiB, 4 * kMiB, MemoryType::Module, 0},
                         {20 * kMiB, 4 * kMiB, MemoryType::Free, 0},
                         {24 * kMiB, 8 * kMiB, MemoryType::Reserved, 0},
                         {32 * kMiB, 8 * kMiB, MemoryType::Boot, 0}});
    info->chosen.mem = 10 * kMiB + 5;
    limit_memory(*info);
    REQUIRE(info->ranges == 6);
    CHECK(info->range[0].size == 9 * kMiB);
    CHECK(info->range[0].type == MemoryType::Free);
    CHECK(info->range[1].base == 10 * kMiB);
    CHECK(info->range[1].size == 6 * kMiB);
    CHECK(info->range[1].type == MemoryType::Bad);
    CHECK(info->range[2].type == MemoryType::Module);
    CHECK(info->range[3].type == MemoryType::Bad);
    CHECK(info->range[4].type == MemoryType::Reserved);
    CHECK(info->range[5].type == MemoryType::Boot);
    info->range[5].type = MemoryType::Free;  // the loader's memory is taken later
    limit_memory(*info);
    CHECK(info->ranges == 6);
    CHECK(info->range[5].type == MemoryType::Bad);
}

TEST_CASE("limits: without mem=, with one beyond all memory, or with a full map") {
    auto info = machine({{1 * kMiB, 15 * kMiB, MemoryType::Free, 0}});
    limit_memory(*info);
    info->chosen.mem = 16 * kMiB;
    limit_memory(*info);
    CHECK(info->ranges == 1);
    CHECK(info->range[0].type == MemoryType::Free);
    constexpr uint32_t kMost = std::size(abi::BootInfo{}.range);
    for (uint32_t i = 1; i < kMost; i++) info->range[i] = {(16 + i) * kMiB, kMiB, MemoryType::Reserved, 0};
    info->ranges = kMost;
    info->chosen.mem = 8 * kMiB;
    limit_memory(*info);
    CHECK(info->ranges == kMost);
    CHECK(info->range[0].type == MemoryType::Bad);
}

TEST_CASE("limits: CPUs") {
    using Ids = std::vector<uint32_t>;
    abi::BootOptions chosen = abi::default_options();
    CHECK(cpus({0, 1, 2, 3}, chosen, 1) == Ids{0, 1, 2, 3});
    chosen.smt = 0;
    CHECK(cpus({0, 1, 2, 3}, chosen, 1) == Ids{0, 2});
    CHECK(cpus({1, 0, 2, 3}, chosen, 1) == Ids{1, 2});  // booted by a second thread
    CHECK(cpus({0, 1, 2, 3}, chosen, 0) == Ids{0, 1, 2, 3});
    CHECK(cpus({0, 4, 8, 9}, chosen, 2) == Ids{0, 4, 8});
    chosen.maxcpus = 2;
    CHECK(cpus({0, 1, 4, 5, 8}, chosen, 1) == Ids{0, 4});
    chosen.smt = 1;
    CHECK(cpus({0, 1, 4}, chosen, 1) == Ids{0, 1});
    chosen.maxcpus = 9;
    CHECK(cpus({0, 1, 4}, chosen, 1) == Ids{0, 1, 4});
    chosen.nosmp = 1;
    CHECK(cpus({0, 1, 4}, chosen, 40) == Ids{0});
}
