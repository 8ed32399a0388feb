// SPDX-License-Identifier: Apache-2.0
#include "boot/config/embedded.hpp"

#include <catch2/catch.hpp>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

using namespace bulkhead::boot;

namespace {

using Bytes = std::vector<uint8_t>;

struct Section {
    std::string name, content;
};

void put(Bytes& to, size_t at, uint32_t value, unsigned bytes) {
    for (unsigned i = 0; i < bytes; i++) to[at + i] = static_cast<uint8_t>(value >> (8 * i));
}

// An image as firmware lays it out: headers, then each section on a page of its own.
Bytes image_of(const std::vector<Section>& sections) {
    constexpr size_t kPe = 0x80, kOptional = 0xf0, kTable = kPe + 24 + kOptional, kPage = 4096;
    Bytes image(kPage);
    put(image, 0x3c, kPe, 4);
    put(image, kPe, 0x4550, 4);
    put(image, kPe + 4 + 2, static_cast<uint32_t>(sections.size()), 2);
    put(image, kPe + 4 + 16, kOptional, 2);
    for (size_t i = 0; i < sections.size(); i++) {
        const size_t header = kTable + i * 40, at = image.size();
        sections[i].name.copy(reinterpret_cast<char*>(image.data()) + header, 8);
        put(image, header + 8, static_cast<uint32_t>(sections[i].content.size()), 4);
        put(image, header + 12, static_cast<uint32_t>(at), 4);
        put(image, header + 16, sections[i].content.empty() ? 0 : 512, 4);
        image.insert(image.end(), sections[i].content.begin(), sections[i].content.end());
        image.resize((image.size() + kPage - 1) / kPage * kPage + kPage);
    }
    return image;
}

std::string text(std::span<const uint8_t> data) {
    return {data.begin(), data.end()};
}

std::string error_of(const std::vector<Section>& sections) {
    const auto files = find_embedded(image_of(sections));
    return files.error ? files.error : "";
}

}  // namespace

TEST_CASE("embedded files: Xen's names, and modules by theirs") {
    const Bytes image = image_of({{".text", "code"},
                                  {".sbat", "sbat"},
                                  {".config", "[a]"},
                                  {".kernel", "elf"},
                                  {".ramdisk", "cpio"},
                                  {".dtb", "tree"},
                                  {".ucode", "blob"},
                                  {".root", "r"}});
    const EmbeddedFiles files = find_embedded(image);
    REQUIRE(files.error == nullptr);
    CHECK(text(files.config) == "[a]");
    CHECK(text(files.kernel) == "elf");
    CHECK(files.modules == 4);
    REQUIRE(files.find("bootfs"));
    CHECK(text(files.find("bootfs")->data) == "cpio");
    REQUIRE(files.find("manifest"));
    CHECK(text(files.find("manifest")->data) == "tree");
    CHECK(files.find("ucode"));
    CHECK(files.find("root"));
    CHECK_FALSE(files.find("text"));
}

TEST_CASE("embedded files: mistakes in the image are sentences") {
    CHECK(error_of({{".config", "a"}, {".config", "b"}}) == "bulkhead.efi holds two sections of one name");
    CHECK(error_of({{".root", "a"}, {".root", "b"}}) == "bulkhead.efi holds two sections of one name");
    CHECK(error_of({{".ramdisk", "a"}, {".bootfs", "b"}}) == "bulkhead.efi holds two sections of one name");
    CHECK(error_of({{".kernel", ""}}) != "");
    CHECK(error_of({{".xsm", "policy"}}).find("no meaning here") != std::string::npos);
    std::vector<Section> many;
    for (char c = 'a'; c < 'a' + 17; c++) many.push_back({std::string{".m"} + c, "x"});
    CHECK(error_of(many) == "bulkhead.efi holds more than 16 modules");
    Bytes outside = image_of({{".root", "r"}});
    put(outside, 0x80 + 24 + 0xf0 + 8, 0xfffff000, 4);
    CHECK(find_embedded(outside).error != nullptr);
}

TEST_CASE("embedded files: the loader as it is built holds none") {
    std::ifstream file{BULKHEAD_EFI, std::ios::binary};
    const std::string content{std::istreambuf_iterator<char>{file}, {}};
    REQUIRE(content.size() > 4096);
    // Sections lie elsewhere in the file than in memory: only which there are is asked, so give it room.
    Bytes image(content.begin(), content.end());
    image.resize(1 << 20);
    const EmbeddedFiles files = find_embedded(image);
    CHECK(files.error == nullptr);
    CHECK(files.modules == 0);
    CHECK((files.config.empty() && files.kernel.empty()));
}

TEST_CASE("embedded files: damaged images are read within their bounds") {
    const Bytes good = image_of({{".config", "[a]"}, {".kernel", "elf"}, {".root", "r"}});
    std::mt19937 random{11};
    for (unsigned round = 0; round < 5000; round++) {
        Bytes image{good.begin(), good.begin() + static_cast<std::ptrdiff_t>(random() % good.size())};
        for (unsigned i = 0; i < 8 && !image.empty(); i++)
            image[random() % std::min<size_t>(image.size(), 0x200)] = static_cast<uint8_t>(random());
        const EmbeddedFiles files = find_embedded(image);
        for (size_t i = 0; i < files.modules; i++) {
            REQUIRE(files.module[i].data.data() >= image.data());
            REQUIRE(files.module[i].data.data() + files.module[i].data.size() <= image.data() + image.size());
        }
    }
}
