// SPDX-License-Identifier: Apache-2.0
// The journal holds the last or the one before, whatever instruction dom0 died at; what it holds is what was
// put in.
#include <catch2/catch.hpp>

#include <cstring>
#include <random>

#include "toolstack/dom0/journal.hpp"
#include "toolstack/dom0/state.hpp"

namespace bulkhead::dom0 {
namespace {

std::vector<std::byte> bytes_of(std::string_view text) {
    const auto* first = reinterpret_cast<const std::byte*>(text.data());
    return {first, first + text.size()};
}
std::string text_of(const Journal& journal) {
    const auto bytes = journal.load();
    return bytes ? std::string{reinterpret_cast<const char*>(bytes->data()), bytes->size()} : "none";
}

TEST_CASE("the last commit is found again") {
    std::vector<std::uint64_t> memory(64);
    const auto span = std::as_writable_bytes(std::span{memory});
    REQUIRE(text_of(Journal{span}) == "none");
    REQUIRE_FALSE(Journal{span}.damaged());
    Journal journal{span};
    for (int i = 0; i < 9; i++) {
        REQUIRE(journal.commit(bytes_of("state " + std::to_string(i))));
        REQUIRE(text_of(Journal{span}) == "state " + std::to_string(i));
    }
    REQUIRE_FALSE(journal.commit(std::vector<std::byte>(journal.capacity() + 1)));
    REQUIRE(text_of(Journal{span}) == "state 8");
}

TEST_CASE("a commit that was cut off anywhere leaves the one before or is whole") {
    std::vector<std::uint64_t> before(64);
    Journal first{std::as_writable_bytes(std::span{before})};
    REQUIRE(first.commit(bytes_of("the first one")));
    REQUIRE(first.commit(bytes_of("the second one, which is longer")));
    auto after = before;
    Journal second{std::as_writable_bytes(std::span{after})};
    REQUIRE(second.commit(bytes_of("the third")));
    // The words that a commit changes, in its order: header without magic, contents, magic. Any prefix of
    // them may be there.
    std::vector<std::size_t> order{1, 2, 3};
    for (std::size_t word = 4; word < 32; word++) order.push_back(word);
    for (std::size_t cut = 0; cut <= order.size(); cut++) {
        auto torn = before;
        torn[0] = 0;
        for (std::size_t i = 0; i < cut; i++) torn[order[i]] = after[order[i]];
        REQUIRE(text_of(Journal{std::as_writable_bytes(std::span{torn})}) ==
                "the second one, which is longer");
        torn[0] = after[0];
        const std::string found = text_of(Journal{std::as_writable_bytes(std::span{torn})});
        REQUIRE((found == "the second one, which is longer" || found == "the third"));
    }
}

TEST_CASE("damage is noticed") {
    std::vector<std::uint64_t> memory(64);
    const auto span = std::as_writable_bytes(std::span{memory});
    Journal journal{span};
    REQUIRE(journal.commit(bytes_of("the only one")));
    memory[5] ^= 4;
    REQUIRE(text_of(Journal{span}) == "none");
    REQUIRE(Journal{span}.damaged());
}

State sample() {
    State state;
    state.next_domain = 9;
    state.nodes.resize(64);
    state.nodes[1] = {Use::Split, 29, 0, {4, 5}, 0};
    state.nodes[4] = {Use::Used, 28, 1, {}, 7};
    state.nodes[5] = {Use::Free, 28, 1, {}, 0};
    DomainRecord record;
    record.id = 7;
    record.phase = Phase::Live;
    record.unpaused = true;
    record.reason = 3;
    record.created_tsc = 123456789;
    record.chunks = {4};
    auto& c = record.config;
    c.name = "web";
    c.uuid = xl::Uuid::parse("59e1cf6c-6ab9-4879-90e7-adc8d1c63bf5");
    c.kernel = "/boot/vmlinuz";
    c.ramdisk = "/boot/initrd";
    c.command_line = std::string(2047, 'x');
    c.memory_mib = 256;
    c.max_memory_mib = 512;
    c.vcpus = 2;
    c.max_vcpus = 4;
    c.affinity = {*xl::CpuSet::parse("0-3,200"), xl::CpuSet::all()};
    c.cpu_weight = 512;
    c.on_poweroff = xl::Action::Preserve;
    c.on_crash = xl::Action::RenameRestart;
    state.domains.push_back(record);
    return state;
}

TEST_CASE("a state is read as it was written") {
    const State state = sample();
    const auto bytes = state.encode();
    const auto read = State::decode(bytes, 64);
    REQUIRE(read);
    REQUIRE(read->encode() == bytes);
    const auto &a = state.domains[0], &b = read->domains[0];
    REQUIRE(b.config.json(0) == a.config.json(0));
    REQUIRE(b.config.affinity == a.config.affinity);
    REQUIRE((b.id == 7 && b.phase == Phase::Live && b.unpaused && !b.restart && !b.ended && b.reason == 3 &&
             b.created_tsc == 123456789 && b.chunks == a.chunks));
    REQUIRE((read->nodes[1].use == Use::Split && read->nodes[1].child[1] == 5 && read->nodes[4].domain == 7 &&
             read->nodes[4].parent == 1));
}

TEST_CASE("cut and changed bytes are refused or read without harm") {
    const auto bytes = sample().encode();
    for (std::size_t size = 0; size < bytes.size(); size++)
        REQUIRE_FALSE(State::decode(std::span{bytes}.first(size), 64));
    std::mt19937 random{7};
    for (int i = 0; i < 20000; i++) {
        auto changed = bytes;
        changed[random() % changed.size()] = static_cast<std::byte>(random());
        (void)State::decode(changed, 64);
    }
    REQUIRE_FALSE(State::decode(bytes, 5));  // a CNode that is too small for it
}

}  // namespace
}  // namespace bulkhead::dom0
