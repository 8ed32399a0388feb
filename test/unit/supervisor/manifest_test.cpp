// SPDX-License-Identifier: Apache-2.0
#include "toolstack/supervisor/manifest.hpp"

#include <libfdt.h>

#include <catch2/catch.hpp>
#include <cstdio>
#include <cstring>
#include <functional>

using namespace bulkhead::supervisor;

namespace {

// A device tree written by libfdt's sequential-write calls, so that each test says only what it is about.
class Tree {
  public:
    Tree() : blob_(1 << 16) {
        fdt_create(blob_.data(), static_cast<int>(blob_.size()));
        fdt_finish_reservemap(blob_.data());
        begin("");
        text("compatible", "bulkhead,manifest-1");
    }
    Tree& begin(const char* name) { return fdt_begin_node(blob_.data(), name), *this; }
    Tree& end() { return fdt_end_node(blob_.data()), *this; }
    Tree& text(const char* name, const char* value) {
        return fdt_property(blob_.data(), name, value, static_cast<int>(std::strlen(value) + 1)), *this;
    }
    Tree& number(const char* name, uint32_t value) {
        return fdt_property_u32(blob_.data(), name, value), *this;
    }
    std::span<const uint8_t> finish() {
        end();
        fdt_finish(blob_.data());
        return {blob_.data(), fdt_totalsize(blob_.data())};
    }
    Tree& service(const char* name, uint32_t tag, const std::function<void(Tree&)>& more = {}) {
        begin(name)
            .text("image", "stubdom/x")
            .number("tag", tag)
            .number("memory-kib", 4096)
            .number("priority", 30);
        if (more) more(*this);
        return end();
    }

  private:
    std::vector<uint8_t> blob_;
};

// The offset of the first property's length in the blob.
size_t first_property_length(std::span<const uint8_t> blob) {
    for (size_t at = fdt_off_dt_struct(blob.data());; at += 4)
        if (fdt32_ld(reinterpret_cast<const fdt32_t*>(&blob[at])) == FDT_PROP) return at + 4;
}

std::string error_of(const std::function<void(Tree&)>& services) {
    Tree tree;
    tree.begin("services");
    services(tree);
    tree.end().begin("templates").end();
    const auto parsed = parse_manifest(tree.finish());
    return parsed ? "" : parsed.error();
}

}  // namespace

TEST_CASE("manifest: the shipped manifest is accepted and says what each service gets") {
    std::vector<uint8_t> blob(1 << 16);
    std::FILE* file = std::fopen(MANIFEST_DTB, "rb");
    REQUIRE(file);
    blob.resize(std::fread(blob.data(), 1, blob.size(), file));
    std::fclose(file);
    const auto manifest = parse_manifest(blob);
    INFO((manifest ? "" : manifest.error()));
    REQUIRE(manifest);
    REQUIRE(manifest->services.size() == 4);
    REQUIRE(manifest->find_template("vmm"));
    REQUIRE(manifest->find_template("vmm")->vcpus_max == 16);
    CHECK(manifest->find_template("other") == nullptr);
    unsigned uart_ports = 0, uart_irqs = 0, screens = 0;
    for (const auto& service : manifest->services)
        for (const auto& grant : service.grants) {
            uart_ports += grant.type == GrantType::SerialPorts;
            uart_irqs += grant.type == GrantType::SerialIrq;
            screens += grant.type == GrantType::Framebuffer;
        }
    CHECK(uart_ports == 1);
    CHECK(uart_irqs == 1);
    CHECK(screens == 1);
}

TEST_CASE("manifest: mistakes are refused with the path of the node") {
    CHECK(error_of([](Tree&) {}).empty());
    CHECK(error_of([](Tree& t) { t.service("a", 1, [](Tree& n) { n.number("colour", 3); }); }) ==
          "manifest: /services/a: colour: unknown property");
    CHECK(error_of([](Tree& t) { t.service("a", 1, [](Tree& n) { n.text("connects", "consol"); }); }) ==
          "manifest: /services/a: connects: no service accepts 'consol'");
    CHECK(error_of([](Tree& t) { t.service("a", 1).service("b", 1); }) ==
          "manifest: /services/b: tag: 1 is used by /services/a too");
    CHECK(error_of([](Tree& t) { t.service("Bad Name", 1); }).find("the name of a domain") !=
          std::string::npos);
    CHECK(error_of([](Tree& t) {
              t.begin("a").text("image", "x").number("tag", 1).number("memory-kib", 4096).end();
          }) == "manifest: /services/a: priority: is missing");
    CHECK(error_of([](Tree& t) {
              t.begin("a")
                  .text("image", "x")
                  .number("tag", 1)
                  .number("memory-kib", 1)
                  .number("priority", 30)
                  .end();
          }) == "manifest: /services/a: memory-kib: 1 is outside 2048..4194304");
    CHECK(error_of([](Tree& t) {
              t.service("a", 1, [](Tree& n) { n.begin("p").text("type", "port").end(); });
          }) == "manifest: /services/a/p: type: unknown type 'port'");
    CHECK(error_of([](Tree& t) {
              t.service("a", 1, [](Tree& n) {
                  n.begin("p").text("type", "ports").number("first", 0xffff).number("count", 2).end();
              });
          }) == "manifest: /services/a/p: count: 2 is outside 1..1");
    CHECK(error_of([](Tree& t) {
              t.service("a", 1, [](Tree& n) { n.begin("s").text("type", "spawn").end(); });
              t.service("b", 2, [](Tree& n) { n.begin("s").text("type", "spawn").end(); });
          }) == "manifest: /services/b/s: is granted to /services/a already");
    for (const char* once : {"framebuffer", "acpi-sci", "acpi-hpet", "intel-tco"})
        CHECK(error_of([&](Tree& t) {
                  t.service("a", 1, [&](Tree& n) { n.begin("s").text("type", once).end(); });
                  t.service("b", 2, [&](Tree& n) { n.begin("s").text("type", once).end(); });
              }) == "manifest: /services/b/s: is granted to /services/a already");
}

TEST_CASE("manifest: what cannot be shared or stands alone is refused") {
    auto grant = [](const char* name, const char* type,
                    std::initializer_list<std::pair<const char*, uint32_t>> numbers = {}) {
        return [=](Tree& n) {
            n.begin(name).text("type", type);
            for (const auto& [key, value] : numbers) n.number(key, value);
            n.end();
        };
    };
    CHECK(error_of([&](Tree& t) {
              t.service("a", 1, grant("irq", "isa-irq", {{"irq", 4}}))
                  .service("b", 2, grant("serial", "isa-irq", {{"irq", 4}}));
          }) == "manifest: /services/b/serial: is granted to /services/a already");
    CHECK(error_of([&](Tree& t) {
              t.service("a", 1, grant("irq", "isa-irq", {{"irq", 4}}))
                  .service("b", 2, grant("serial", "isa-irq", {{"irq", 3}}));
          }).empty());
    CHECK(error_of([&](Tree& t) { t.service("a", 1, grant("memory", "free-memory")); }) ==
          "manifest: /services/a/memory: needs a keep-cnode beside it");
    Tree stolen;
    stolen.begin("services").service("a", 1, [](Tree& n) { n.text("accepts", "console"); }).end();
    stolen.begin("templates")
        .begin("t")
        .text("image", "x")
        .number("priority", 9)
        .number("vcpu-priority", 9)
        .number("vcpus-max", 1)
        .text("accepts", "console")
        .end()
        .end();
    CHECK(parse_manifest(stolen.finish()).error() ==
          "manifest: /templates/t: accepts: 'console' is accepted by /services/a");
    Tree kept;
    kept.begin("services")
        .end()
        .begin("templates")
        .begin("t")
        .text("image", "x")
        .number("priority", 9)
        .number("vcpu-priority", 9)
        .number("vcpus-max", 1);
    kept.begin("k").text("type", "keep").number("kib", 64).end().end().end();
    CHECK(parse_manifest(kept.finish()).error() == "manifest: /templates/t/k: only a service can have this");
}

TEST_CASE("manifest: a blob that is no device tree, or a truncated one, is refused") {
    CHECK_FALSE(parse_manifest({}));
    std::vector<uint8_t> noise(4096, 0xd0);
    CHECK_FALSE(parse_manifest(noise));
    Tree tree;
    tree.begin("services").service("a", 1).end().begin("templates").end();
    const auto whole = tree.finish();
    for (size_t length = 0; length < whole.size(); length += 7) {
        std::vector<uint8_t> cut(whole.begin(), whole.begin() + static_cast<long>(length));
        CHECK_FALSE(parse_manifest(cut));
    }
}

TEST_CASE("a length that is wrong or wraps around is refused, not followed for ever") {
    Tree tree;
    tree.begin("services").service("a", 1);
    const auto good = tree.end().begin("templates").end().finish();
    REQUIRE(parse_manifest(good));
    const size_t at = first_property_length(good);
    // -12 leads libfdt 1.6 back to the property itself.
    for (const uint32_t length : {0xffff'fff4u, 0xffff'ffffu, 0x8000'0000u, 0x7fff'ffffu, 1u << 20}) {
        std::vector<uint8_t> blob(good.begin(), good.end());
        fdt32_st(&blob[at], length);
        const auto parsed = parse_manifest(blob);
        REQUIRE_FALSE(parsed);
        CHECK(parsed.error() ==
              "manifest: not a device tree blob: a header or length is wrong, or it has no end");
    }
    for (size_t size = 0; size < good.size(); ++size) CHECK_FALSE(parse_manifest(good.first(size)));
}
