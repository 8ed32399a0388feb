// SPDX-License-Identifier: Apache-2.0
#include "boot/options/flag.hpp"

#include <catch2/catch.hpp>

using bulkhead::boot::option_flag;

TEST_CASE("options: a boolean by Xen's rules") {
    CHECK_FALSE(option_flag("", "watchdog"));
    CHECK(option_flag("", "watchdog", true));
    for (const char* on : {"watchdog", "a watchdog b", "watchdog=1", "watchdog=on", "watchdog=true",
                           "watchdog=yes", "watchdog=enable", "no-watchdog watchdog", "no-watchdog=off"})
        CHECK(option_flag(on, "watchdog"));
    for (const char* off :
         {"no-watchdog", "watchdog=0", "watchdog=off", "watchdog=false", "watchdog=no", "watchdog=disable",
          "watchdogs", "xwatchdog", "watchdog_timeout=5", "watchdog no-watchdog", "watchdog=maybe"})
        CHECK_FALSE(option_flag(off, "watchdog"));
    CHECK(option_flag("noreboot", "noreboot"));
    CHECK_FALSE(option_flag("  nosmp   noreboot=no ", "noreboot"));
}
