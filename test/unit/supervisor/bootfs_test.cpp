// SPDX-License-Identifier: Apache-2.0
#include "toolstack/supervisor/bootfs.hpp"

#include <catch2/catch.hpp>
#include <cstdio>

using namespace bulkhead::supervisor;

namespace {

std::vector<uint8_t> entry(std::string_view name, std::string_view data, unsigned mode = 0100644) {
    char header[111];
    std::snprintf(header, sizeof header, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x", 1u,
                  mode, 0u, 0u, 1u, 0u, static_cast<unsigned>(data.size()), 0u, 0u, 0u, 0u,
                  static_cast<unsigned>(name.size() + 1), 0u);
    std::vector<uint8_t> out(header, header + 110);
    auto pad = [&] {
        while (out.size() % 4) out.push_back(0);
    };
    out.insert(out.end(), name.begin(), name.end());
    out.push_back(0);
    pad();
    out.insert(out.end(), data.begin(), data.end());
    pad();
    return out;
}

std::vector<uint8_t> archive(std::initializer_list<std::vector<uint8_t>> entries) {
    std::vector<uint8_t> out;
    for (const auto& one : entries) out.insert(out.end(), one.begin(), one.end());
    const auto trailer = entry("TRAILER!!!", "");
    out.insert(out.end(), trailer.begin(), trailer.end());
    return out;
}

}  // namespace

TEST_CASE("bootfs: files are found by name, directories are not files") {
    const auto bytes = archive({entry("dom0", "", 040755), entry("./dom0/etc/xen/a.cfg", "memory = 64"),
                                entry("stubdom/vmm", "ELF")});
    const auto fs = Bootfs::open(bytes);
    REQUIRE(fs);
    CHECK(fs->files().size() == 2);
    const auto file = fs->find("dom0/etc/xen/a.cfg");
    REQUIRE(file);
    const auto data = fs->contents(*file);
    CHECK(std::string(data.begin(), data.end()) == "memory = 64");
    CHECK_FALSE(fs->find("dom0"));
}

TEST_CASE("bootfs: an archive cut or damaged anywhere is refused or harmless") {
    const auto bytes = archive({entry("a", "0123456789"), entry("b", "xyz")});
    for (size_t length = 0; length < bytes.size(); length++) {
        const std::vector<uint8_t> cut(bytes.begin(), bytes.begin() + static_cast<long>(length));
        const auto fs = Bootfs::open(cut);
        if (length < bytes.size() - 3) CHECK_FALSE(fs);
    }
    for (size_t at = 0; at < bytes.size(); at++)
        for (const uint8_t value : {uint8_t{0}, uint8_t{'f'}, uint8_t{0xff}}) {
            auto damaged = bytes;
            damaged[at] = value;
            if (const auto fs = Bootfs::open(damaged); fs)
                for (const auto& file : fs->files()) CHECK(fs->contents(file).size() == file.size);
        }
}
