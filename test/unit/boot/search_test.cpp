// SPDX-License-Identifier: Apache-2.0
#include "boot/config/search.hpp"

#include <catch2/catch.hpp>
#include <string>

using namespace bulkhead::boot;

namespace {

std::string names(std::string_view loader) {
    std::string all;
    ConfigSearch search{loader};
    for (std::string_view name = search.next(); !name.empty(); name = search.next())
        all += (all.empty() ? "" : " ") + std::string{name};
    return all;
}

}  // namespace

TEST_CASE("configuration search: the order for eleven names of the loader") {
    // As Xen's documentation illustrates it, with its own name for the file at the end.
    CHECK(names("xen-4.2-unstable.efi") == "xen-4.2-unstable.cfg xen-4.2.cfg xen-4.cfg xen.cfg bulkhead.cfg");
    CHECK(names("bulkhead.efi") == "bulkhead.cfg xen.cfg");
    CHECK(names("BOOTX64.EFI") == "BOOTX64.cfg bulkhead.cfg xen.cfg");
    CHECK(names("bulkhead-0.1.0.efi") ==
          "bulkhead-0.1.0.cfg bulkhead-0.1.cfg bulkhead-0.cfg bulkhead.cfg xen.cfg");
    CHECK(names("my_own_loader.efi") == "my_own_loader.cfg my_own.cfg my.cfg bulkhead.cfg xen.cfg");
    CHECK(names("BULKHEAD-Test.EFI") == "BULKHEAD-Test.cfg BULKHEAD.cfg xen.cfg");
    CHECK(names("xen.efi") == "xen.cfg bulkhead.cfg");
    CHECK(names("a.b-c_d.efi") == "a.b-c_d.cfg a.b-c.cfg a.b.cfg a.cfg bulkhead.cfg xen.cfg");
    CHECK(names("loader") == "loader.cfg bulkhead.cfg xen.cfg");
    CHECK(names("x--y.efi") == "x--y.cfg x-.cfg x.cfg bulkhead.cfg xen.cfg");
    CHECK(names("") == "bulkhead.cfg xen.cfg");
}

TEST_CASE("configuration search: names that are nothing but separators, or too long") {
    CHECK(names("-.efi") == "-.cfg bulkhead.cfg xen.cfg");
    CHECK(names(".efi") == "bulkhead.cfg xen.cfg");
    CHECK(names(std::string(ConfigSearch::kMaxName, 'n') + ".efi").size() == ConfigSearch::kMaxName + 4 + 21);
    CHECK(names(std::string(ConfigSearch::kMaxName + 1, 'n') + ".efi") == "bulkhead.cfg xen.cfg");
    CHECK(names(std::string(ConfigSearch::kMaxName, '.')).find("bulkhead.cfg xen.cfg") != std::string::npos);
}
