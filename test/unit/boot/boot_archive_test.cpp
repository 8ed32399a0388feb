// SPDX-License-Identifier: Apache-2.0
#include "kernel/init/boot_archive.hpp"

#include <catch2/catch.hpp>
#include <cstdio>
#include <string>
#include <vector>

using bulkhead::init::ArchiveFile;
using bulkhead::init::find_file;

namespace {

std::string member(const std::string& name, const std::string& data, unsigned mode = 0100644) {
    char header[111];
    std::snprintf(header, sizeof header, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x", 1u,
                  mode, 0u, 0u, 1u, 0u, static_cast<unsigned>(data.size()), 0u, 0u, 0u, 0u,
                  static_cast<unsigned>(name.size() + 1), 0u);
    std::string out = header + name + '\0';
    out.resize((out.size() + 3) & ~size_t{3});
    out += data;
    out.resize((out.size() + 3) & ~size_t{3});
    return out;
}
const std::string kEnd = member("TRAILER!!!", "", 0);

// A copy of exactly this size, so that a byte read beyond the end is seen.
std::string contents(const std::string& archive, const char* name) {
    const std::vector<uint8_t> copy(archive.begin(), archive.end());
    const ArchiveFile file = find_file(copy.data(), copy.size(), name);
    return file.data != nullptr ? std::string(reinterpret_cast<const char*>(file.data), file.size) : "(none)";
}

}  // namespace

TEST_CASE("boot archive: files are found by their whole name") {
    const std::string archive = member("boot", "", 040755) + member("boot/root", "the root") +
                                member("boot/rootless", "x") + member("boot/blob", "blob") + kEnd;
    CHECK(contents(archive, "boot/root") == "the root");
    CHECK(contents(archive, "boot/blob") == "blob");
    CHECK(contents(archive, "boot/roo") == "(none)");
    CHECK(contents(archive, "boot") == "(none)");  // a directory
    CHECK(contents(archive + member("late", "x"), "late") == "(none)");
    CHECK(contents("", "x") == "(none)");
}

TEST_CASE("boot archive: what is cut off or damaged ends the search") {
    const std::string archive = member("a", "12345") + member("b", "67890") + kEnd;
    for (size_t size = 0; size < archive.size(); ++size) {
        const std::string found = contents(archive.substr(0, size), "b");
        CHECK((found == "67890" || found == "(none)"));
    }
    for (const size_t at : std::initializer_list<size_t>{0, 14, 6 + 8 * 6, 6 + 8 * 11}) {
        std::string bad = archive;
        bad[at] = at < 14 ? '1' : 'x';
        CHECK(contents(bad, "b") == "(none)");
    }
    std::string huge = archive;
    huge.replace(6 + 8 * 6, 8, "ffffffff");
    CHECK(contents(huge, "a") == "(none)");
    huge = archive;
    huge.replace(6 + 8 * 11, 8, "ffffffff");
    CHECK(contents(huge, "a") == "(none)");
}
