// SPDX-License-Identifier: Apache-2.0
#include "boot/config/arguments.hpp"

#include <array>
#include <catch2/catch.hpp>
#include <random>
#include <string>
#include <vector>

using namespace bulkhead::boot;

namespace {

using Bytes = std::vector<uint8_t>;

Bytes wide(std::string_view text, bool zero = true) {
    Bytes bytes;
    for (const char c : text) bytes.insert(bytes.end(), {static_cast<uint8_t>(c), 0});
    if (zero) bytes.insert(bytes.end(), {0, 0});
    return bytes;
}

std::string decoded(const Bytes& bytes) {
    std::array<char, kMaxArguments> out;
    const Bytes exact{bytes};  // so that a byte read beyond the end is seen
    return std::string{decode_load_options(exact, out)};
}

// An EFI_LOAD_OPTION as firmware keeps it in Boot####.
Bytes load_option(std::string_view description, const Bytes& data) {
    Bytes bytes{1, 0, 0, 0, 4, 0};
    const Bytes text = wide(description);
    bytes.insert(bytes.end(), text.begin(), text.end());
    bytes.insert(bytes.end(), {0x7f, 0xff, 4, 0});
    bytes.insert(bytes.end(), data.begin(), data.end());
    return bytes;
}

}  // namespace

TEST_CASE("load options: UTF-16 and ASCII text, with and without an end") {
    CHECK(decoded(wide("-cfg=a.cfg xen")) == "-cfg=a.cfg xen");
    CHECK(decoded(wide("xen ", false)) == "xen");
    CHECK(decoded({'x', 'e', 'n', 0}) == "xen");
    CHECK(decoded({'x', 'e', 'n'}) == "xen");
    CHECK(decoded({'x', 'e', 'n', 's'}) == "xens");
    CHECK(decoded({}).empty());
    CHECK(decoded({0, 0}).empty());
}

TEST_CASE("load options: a whole boot entry is looked into") {
    CHECK(decoded(load_option("Bulkhead", wide("-basevideo"))) == "-basevideo");
    CHECK(decoded(load_option("Bulkhead", {'r', 'e', 's', 'c', 'u', 'e'})) == "rescue");
    CHECK(decoded(load_option("Bulkhead", {})).empty());
}

TEST_CASE("load options: what firmware leaves there besides text is nothing") {
    // The GUID by which EDK II marks boot entries of its own making.
    CHECK(decoded({0x4e, 0xac, 0x08, 0x81, 0x1b, 0x9f, 0x59, 0x4d, 0x85, 0x0e, 0xe2, 0x1a, 0x52, 0x2c, 0x59,
                   0xb2})
              .empty());
    CHECK(decoded({0xff, 0xff, 0xff}).empty());
    CHECK(decoded(wide("umlaut \xc3\xa4")).empty());
    CHECK(decoded(Bytes(3 * kMaxArguments, 'x')).empty());
    CHECK(decoded(wide(std::string(kMaxArguments, 'x'))).size() == kMaxArguments);
    std::mt19937 random{7};
    for (unsigned round = 0; round < 20000; round++) {
        Bytes bytes(random() % 64);
        for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random() % 4 ? random() % 3 : random());
        if (random() % 2 && bytes.size() > 6) bytes[0] = 1, bytes[1] = bytes[2] = bytes[3] = 0;
        for (const char c : decoded(bytes)) REQUIRE(((c >= 0x20 && c <= 0x7e) || c == '\t'));
    }
}

TEST_CASE("arguments: what Xen's loader takes") {
    const Arguments a = parse_arguments("-cfg=dir\\a.cfg -basevideo rescue -- loglvl=all  com1=9600", false);
    CHECK(a.error == nullptr);
    CHECK(a.config == "dir\\a.cfg");
    CHECK(a.base_video);
    CHECK(a.section == "rescue");
    CHECK(a.hypervisor == "loglvl=all  com1=9600");
    CHECK(parse_arguments("-help", false).help);
    CHECK(parse_arguments("", false).section.empty());
}

TEST_CASE("arguments: the program's own name is not a section") {
    CHECK(parse_arguments("fs0:\\EFI\\bulkhead.efi rescue", true).section == "rescue");
    CHECK(parse_arguments("bulkhead rescue", true).section == "rescue");
    CHECK(parse_arguments("\"FS0:\\my dir\\bulkhead.efi\" rescue", true).section == "rescue");
    CHECK(parse_arguments("\\EFI\\BULKHEAD.EFI rescue", false).section == "rescue");
    CHECK(parse_arguments("bulkhead", false).section == "bulkhead");
    CHECK(parse_arguments("bulkhead", true).section.empty());
}

TEST_CASE("arguments: mistakes") {
    CHECK(parse_arguments("-mapbs xen", false).unknown == "-mapbs");
    CHECK(parse_arguments("-mapbs xen", false).section == "xen");
    CHECK(parse_arguments("-cfg=", false).error != nullptr);
    const Arguments two = parse_arguments("xen loglvl=all", false);
    REQUIRE(two.error != nullptr);
    CHECK(std::string{two.error}.find("stand behind `--`") != std::string::npos);
    CHECK(two.word == "loglvl=all");
    CHECK(parse_arguments("\"", false).section.empty());
    CHECK(parse_arguments("a \"\" \"", false).section == "a");
}
