// SPDX-License-Identifier: Apache-2.0
#include "services/platform/power_button.hpp"

#include <catch2/catch.hpp>

#include "test/unit/platform/fake_ports.hpp"

using namespace bulkhead::platform;

namespace {

// PM1 event and control registers, and firmware that switches ACPI mode on some time after it is asked.
struct Machine : platform_test::FakePorts {
    uint32_t status = 0, enable = 0, control = 0, asked = 0;
    int delay = 5;
    Machine() {
        on_read[0x600] = [this] { return status; };
        on_write[0x600] = [this](uint32_t v) { status &= ~v; };
        on_read[0x602] = [this] { return enable; };
        on_write[0x602] = [this](uint32_t v) { enable = v; };
        on_read[0x604] = [this] { return control |= asked == 2 && delay-- <= 0 ? 1u : 0u; };
        on_write[0xb2] = [this](uint32_t v) { asked = v; };
    }
    bool sci() const { return (status & enable) != 0; }
};

constexpr PowerButton::Blocks kBlocks{{0x600, 4, 0}, {0x604, 2, 5}, {0xb2, 1, 2}};

}  // namespace

TEST_CASE("power button: ACPI mode is asked for and waited for, then the button alone may interrupt") {
    Machine m;
    m.status = 0x0101;  // a press from before, and the timer's overflow
    PowerButton button{m, kBlocks};
    int pauses = 0;
    REQUIRE(button.start([&] { pauses++; }).empty());
    CHECK(pauses >= 4);
    CHECK(m.enable == 0x100);
    CHECK(m.status == 0);
    CHECK_FALSE(button.pressed());
    m.status = 0x101;
    CHECK(m.sci());
    CHECK(button.pressed());
    CHECK_FALSE(m.sci());
    CHECK_FALSE(button.pressed());
    m.status = 1;  // something else
    CHECK_FALSE(button.pressed());
}

TEST_CASE("power button: in ACPI mode already, the firmware is left alone") {
    Machine m;
    m.control = 1;
    PowerButton button{m, kBlocks};
    REQUIRE(button.start([] {}).empty());
    CHECK(m.asked == 0);
}

TEST_CASE("power button: why it is not watched is a sentence, and nothing is touched") {
    const auto problem = [](PowerButton::Blocks blocks, int delay = 5) {
        Machine m;
        m.delay = delay;
        PowerButton button{m, blocks};
        const std::string text = button.start([] {});
        CHECK_FALSE(button.watched());
        CHECK(m.enable == 0);
        CHECK_FALSE(button.pressed());
        return text;
    };
    CHECK(problem({{}, {0x604, 2, 5}, {0xb2, 1, 2}}).find("no ACPI event registers") != std::string::npos);
    CHECK(problem({{0x600, 4, 1}, {0x604, 2, 5}, {0xb2, 1, 2}}).find("AML") != std::string::npos);
    CHECK(problem({{0x600, 4, 0}, {}, {0xb2, 1, 2}}).find("control register") != std::string::npos);
    CHECK(problem(kBlocks, 1'000'000).find("does not switch ACPI mode on") != std::string::npos);
    CHECK(problem({{0x600, 4, 0}, {0x604, 2, 5}, {}}).find("does not switch ACPI mode on") !=
          std::string::npos);
}

TEST_CASE("power button: registers that nobody decodes are no press") {
    Machine m;
    m.control = 1;
    PowerButton button{m, kBlocks};
    REQUIRE(button.start([] {}).empty());
    m.on_read.erase(0x600);
    CHECK_FALSE(button.pressed());
}
