// SPDX-License-Identifier: Apache-2.0
#include "kernel/arch/x86_64/reset_plan.hpp"

#include <catch2/catch.hpp>
#include <map>
#include <utility>
#include <vector>

using namespace bulkhead::arch;

namespace {

using Methods = std::vector<ResetMethod>;
using Writes = std::vector<std::pair<uint16_t, uint8_t>>;

ResetPlan plan_of(ResetMethod first, uint16_t acpi_port = 0x5cf) {
    ResetPlan plan{};
    plan.first = first;
    plan.acpi_port = acpi_port;
    plan.acpi_value = 0x77;
    plan.known = true;
    return plan;
}

Methods order(ResetMethod first, uint16_t acpi_port = 0x5cf) {
    const ResetOrder all = reset_order(plan_of(first, acpi_port));
    return {all.method, all.method + all.count};
}

// A machine on which nothing has an effect.
struct Deaf {
    std::map<uint16_t, uint8_t> holds;
    Writes writes;
    Methods missed_methods;
    unsigned delays = 0, triple_faults = 0;

    uint8_t in(uint16_t port) { return holds[port]; }
    void out(uint16_t port, uint8_t value) { writes.emplace_back(port, value); }
    void delay() { ++delays; }
    void triple_fault() { ++triple_faults; }
    void missed(ResetMethod method) { missed_methods.push_back(method); }
};

}  // namespace

TEST_CASE("reset: the chosen method comes first, the others follow, the triple fault ends") {
    using enum ResetMethod;
    CHECK(order(Default) == Methods{Acpi, Pci, Keyboard, Triple});
    CHECK(order(Acpi) == Methods{Acpi, Pci, Keyboard, Triple});
    CHECK(order(Pci) == Methods{Pci, Acpi, Keyboard, Triple});
    CHECK(order(Power) == Methods{Power, Acpi, Pci, Keyboard, Triple});
    CHECK(order(Keyboard) == Methods{Keyboard, Acpi, Pci, Triple});
    CHECK(order(Triple) == Methods{Triple});
}

TEST_CASE("reset: without an ACPI register, chosen or not, there is no write to port 0") {
    using enum ResetMethod;
    CHECK(order(Default, 0) == Methods{Pci, Keyboard, Triple});
    CHECK(order(Acpi, 0) == Methods{Pci, Keyboard, Triple});
}

TEST_CASE("reset: what is written, where each method fails") {
    Deaf machine;
    machine.holds[0xcf9] = 0xff;
    try_to_reset(plan_of(ResetMethod::Default), machine);
    CHECK(machine.writes == Writes{{0x5cf, 0x77}, {0xcf9, 0xf3}, {0xcf9, 0xf7}, {0x64, 0xfe}});
    CHECK(machine.triple_faults == 1);
    CHECK(machine.missed_methods == order(ResetMethod::Default));

    Deaf other;
    try_to_reset(plan_of(ResetMethod::Power, 0), other);
    CHECK(other.writes == Writes{{0xcf9, 0x0a}, {0xcf9, 0x0e}, {0xcf9, 0x02}, {0xcf9, 0x06}, {0x64, 0xfe}});
}

TEST_CASE(
    "reset: a keyboard controller that is never ready, or is not there, is not waited for without end") {
    Deaf machine;
    machine.holds[0x64] = 0xff;
    reset_by(ResetMethod::Keyboard, plan_of(ResetMethod::Default), machine);
    CHECK(machine.delays == 10000);
    CHECK(machine.writes == Writes{{0x64, 0xfe}});
}

TEST_CASE("reset: a BIOS is told whether to test memory") {
    volatile uint16_t flag = 0x5555;
    ResetPlan plan = plan_of(ResetMethod::Default);
    plan.bios_flag = &flag;
    Deaf machine;
    try_to_reset(plan, machine);
    CHECK(flag == 0);
    plan.warm = true;
    try_to_reset(plan, machine);
    CHECK(flag == 0x1234);
}
