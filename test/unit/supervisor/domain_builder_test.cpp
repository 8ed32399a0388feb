// SPDX-License-Identifier: Apache-2.0
// A domain is whole or not there: what it finds when it runs, and that a kernel that refuses any one call
// leaves nothing behind.
#include "toolstack/supervisor/domain_builder.hpp"

#include <catch2/catch.hpp>

#include "test/unit/supervisor/world.hpp"

using namespace supervisor_test;

namespace {

Manifest one_service() {
    Manifest manifest;
    DomainSpec spec = service("a", 7);
    spec.accepts = "a";
    spec.connects = {{"a", false}, {"a", true}};
    spec.grants = {{GrantType::Ports, "ports", 0x3f8, 8},
                   {GrantType::Log, "log-all"},
                   {GrantType::Inspect, "inspect"},
                   {GrantType::Bootfs, "bootfs"},
                   {GrantType::AcpiPower, "power"},
                   {GrantType::AcpiReset, "reset"},
                   {GrantType::Spawn, "spawn"}};
    manifest.services = {spec};
    return manifest;
}

// The service's domain with memory, as the supervisor prepares it.
struct Built {
    World& world;
    Domain domain;
    explicit Built(World& w) : world{w} {
        domain.spec = &w.manifest.services[0];
        domain.name = domain.spec->name;
        domain.tag = domain.spec->tag;
        domain.own_memory = w.env.memory.untyped(22).value();
        domain.chunks = {domain.own_memory.address()};
    }
    BuildResult build() { return build_domain(*world.stock, domain, 3, SpawnExtras{}); }
    uint64_t root_object() {
        const auto& slots = world.kernel.thread_slots.at(world.kernel.started.back().first);
        return slots.at(static_cast<unsigned>(abi::ThreadSlot::VSpace));
    }
    template <typename T>
    T* at(uint64_t address) {
        return reinterpret_cast<T*>(world.kernel.mapped(root_object(), address));
    }
    fake::ObjectKernel::Node* cap(uint32_t slot) {
        return world.kernel.find(CapAddr{domain.cspace_slot, slot});
    }
};

}  // namespace

TEST_CASE("builder: a domain finds its image, its stack, its capabilities") {
    World world{one_service()};
    Built b{world};
    const auto built = b.build();
    INFO((built ? "" : built.error()));
    REQUIRE(built);
    CHECK(b.domain.state == abi::DomainState::Running);

    const auto image = small_image();
    CHECK(std::memcmp(b.at<char>(abi::kImageBase + 0x1000), image.data() + 0x1000, 0x1000) == 0);
    CHECK(std::memcmp(b.at<char>(abi::kImageBase + 0x2100), image.data() + 0x2100, 0x200) == 0);
    CHECK(*b.at<char>(abi::kImageBase + 0x2300) == 0);
    CHECK(*b.at<char>(abi::kImageBase + 0x48ff) == 0);
    CHECK(b.at<char>(abi::kImageBase + 0x5000) == nullptr);
    CHECK(std::memcmp(b.at<char>(abi::kBlobBase + 0x1000), image.data() + 0x1000, 0x1000) == 0);

    const auto& start = *b.at<abi::StartInfo>(abi::kStartPages);
    CHECK(start.magic == abi::kStartMagic);
    CHECK(std::string{start.name} == "a");
    CHECK(start.domain_tag == 7);
    for (const auto& [name, type] : {std::pair{"accept-a", ObjectType::Endpoint},
                                     {"connect-a", ObjectType::Endpoint},
                                     {"connect-a-control", ObjectType::Endpoint},
                                     {"fault", ObjectType::Endpoint},
                                     {"exit", ObjectType::Endpoint},
                                     {"ports", ObjectType::IoPort},
                                     {"power", ObjectType::IoPort},
                                     {"spawn", ObjectType::Endpoint}}) {
        const abi::NamedCap* named = cap::find_cap(start, name);
        INFO(name);
        REQUIRE(named);
        REQUIRE(b.cap(named->slot));
        CHECK(b.cap(named->slot)->type == type);
    }
    CHECK(b.cap(cap::find_cap(start, "connect-a-control")->slot)->badge == (7 | abi::kControlRole));
    CHECK(b.cap(cap::find_cap(start, "ports")->slot)->first_port == 0x3f8);
    const abi::NamedCap& bootfs = *cap::find_cap(start, "bootfs");
    CHECK(std::memcmp(b.at<char>(bootfs.mapped.base), "070701", 6) == 0);
    for (uint32_t i = 0; i < start.untyped.count; i++)
        CHECK(b.cap(start.untyped.first + i)->type == ObjectType::Untyped);
    for (uint32_t i = 0; i < 4; i++) CHECK(b.cap(start.free_slots.first + i) == nullptr);
}

TEST_CASE(
    "builder: no page is writable and executable, read-only segments are not writable, pages around the "
    "stack are missing") {
    World world{one_service()};
    Built b{world};
    REQUIRE(b.build());
    for (const uint64_t base : {abi::kImageBase, abi::kBlobBase})
        for (uint64_t offset = 0; offset < 0x5000; offset += abi::kPageSize) {
            uint64_t flags = 0;
            REQUIRE(world.kernel.mapped(b.root_object(), base + offset, &flags));
            CHECK((flags & abi::map::kWrite) == (offset >= 0x2000 ? abi::map::kWrite : 0u));
            CHECK((flags & abi::map::kExecute) == (offset == 0x1000 ? abi::map::kExecute : 0u));
        }
    uint64_t flags = 0;
    REQUIRE(world.kernel.mapped(b.root_object(), abi::kStartPages, &flags));
    CHECK_FALSE(flags & abi::map::kWrite);
    CHECK(world.kernel.mapped(b.root_object(), abi::kStackTop - 1));
    CHECK_FALSE(world.kernel.mapped(b.root_object(), abi::kStackTop));
    CHECK_FALSE(world.kernel.mapped(b.root_object(), abi::kStackTop - kStackBytes - 1));
    CHECK_FALSE(world.kernel.mapped(b.root_object(), 0));
}

TEST_CASE("builder: the image's first writable pages lie in the runtime's CNode, mapped one by one") {
    World world{one_service()};
    Built b{world};
    REQUIRE(b.build());
    const auto& start = *b.at<abi::StartInfo>(abi::kStartPages);
    CHECK(start.image_frames_base == abi::kImageBase + 0x2000);
    REQUIRE(start.image_frames.count == 3);
    for (uint32_t i = 0; i < 3; i++) {
        const auto* frame = world.kernel.find(CapAddr{b.domain.runtime_slot, start.image_frames.first + i});
        REQUIRE(frame);
        CHECK(frame->type == ObjectType::Frame);
        CHECK(frame->bits == abi::kPageBits);
        CHECK(frame->address == start.image_frames_base + i * abi::kPageSize);
    }
    CHECK(b.cap(start.runtime_cnode)->object == world.kernel.find(CapAddr{0, b.domain.runtime_slot})->object);
}

TEST_CASE("builder: whichever call the kernel refuses, nothing is left and the next attempt works") {
    World world{one_service()};
    Built b{world};
    REQUIRE(b.build());
    take_down(*world.stock, b.domain);
    const World::State before = world.state();
    const uint64_t first = world.kernel.calls;
    REQUIRE(b.build());
    const uint64_t needed = world.kernel.calls - first;
    take_down(*world.stock, b.domain);
    REQUIRE(world.state() == before);
    unsigned failed = 0;
    for (uint64_t n = 1; n <= needed; n++) {
        world.kernel.refuse_at = world.kernel.calls + n;
        const auto built = b.build();
        world.kernel.refuse_at = 0;
        failed += !built;
        take_down(*world.stock, b.domain);
        INFO("call " << n << " of " << needed << (built ? " was made without harm" : ": " + built.error()));
        const World::State after = world.state();
        REQUIRE(after.slots == before.slots);
        REQUIRE(after.nodes == before.nodes);
        REQUIRE(after.bytes == before.bytes);
    }
    CHECK(failed > needed * 3 / 4);  // the rest are deletes and the like
    CHECK(b.build());
}

TEST_CASE("builder: a chunk that is too small, a missing file and a broken image are sentences") {
    World world{one_service()};
    Built b{world};
    const auto state = world.state();
    DomainSpec spec = *b.domain.spec;
    b.domain.spec = &spec;
    spec.image = "stubdom/none";
    CHECK(b.build().error() ==
          "supervisor: a: cannot be started: there is no file 'stubdom/none' in the bootfs");
    spec.image = "kernel";
    CHECK(b.build().error().find("kernel: ") != std::string::npos);
    spec.image = "stubdom/a";
    auto small = world.env.memory.untyped(16).value();
    b.domain.chunks = {small.address()};
    CHECK(b.build().error().find("the memory is used up") != std::string::npos);
    small.reset();
    b.domain.chunks = {b.domain.own_memory.address()};
    CHECK(world.state().slots == state.slots);
}
