// SPDX-License-Identifier: Apache-2.0
#include "services/console-stubdom/scrollback.hpp"

#include <catch2/catch.hpp>
#include <cstring>
#include <string>

using bulkhead::console::Scrollback;
using Log = Scrollback::Log;

namespace {

std::span<const std::byte> bytes(std::string_view text) {
    return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}

std::string read_all(const Log& log, uint64_t at = 0, size_t step = 1000) {
    std::string out;
    std::vector<std::byte> part(step);
    for (;;) {
        const size_t count = log.read(at, part);
        if (count == 0) return out;
        out.append(reinterpret_cast<const char*>(part.data()), count);
    }
}

struct Memory {
    explicit Memory(size_t slots) : bytes(slots * Scrollback::kSlotBytes) {}
    std::span<std::byte> span() { return bytes; }
    std::vector<std::byte> bytes;
};

}  // namespace

TEST_CASE("scrollback: what is appended is read, also across the end and in pieces of any size") {
    Memory memory{2};
    Scrollback scrollback{memory.span()};
    Log& log = *scrollback.open(7);
    std::string all;
    for (unsigned i = 0; all.size() < 3 * Log::capacity(); i++) {
        const std::string line = "line " + std::to_string(i) + "\n";
        all += line;
        log.append(bytes(line));
        if (i % 997 == 0) {
            const std::string kept =
                all.size() > Log::capacity() ? all.substr(all.size() - Log::capacity()) : all;
            CHECK(read_all(log, 0, 1 + i % 5000) == kept);
        }
    }
    CHECK(log.written() == all.size());
    CHECK(log.oldest() == all.size() - Log::capacity());
    uint64_t at = log.oldest() - 5;  // gone: moved up
    std::byte one[1];
    CHECK(log.read(at, one) == 1);
    CHECK(at == log.oldest() + 1);
    at = log.written() + 100;  // not there yet
    CHECK(log.read(at, one) == 0);
    CHECK(at == log.written());
}

TEST_CASE("scrollback: one append that is larger than the log keeps its end") {
    Memory memory{1};
    Scrollback scrollback{memory.span()};
    Log& log = *scrollback.open(1);
    log.append(bytes("start"));
    std::string large(2 * Log::capacity() + 17, '.');
    for (size_t i = 0; i < large.size(); i++) large[i] = static_cast<char>('a' + i % 23);
    log.append(bytes(large));
    CHECK(log.written() == 5 + large.size());
    CHECK(read_all(log) == large.substr(large.size() - Log::capacity()));
}

TEST_CASE("scrollback: a new instance adopts logs, names and order") {
    Memory memory{3};
    {
        Scrollback first{memory.span()};
        for (const uint64_t badge : {5u, 6u, 7u}) {
            Log& log = *first.open(badge);
            log.rename("domain " + std::to_string(badge));
            log.append(bytes("from " + std::to_string(badge)));
        }
    }
    Scrollback second{memory.span()};
    CHECK(second.logs().size() == 3);
    REQUIRE(second.find(6));
    CHECK(second.find(6)->name() == "domain 6");
    CHECK(read_all(*second.find(6)) == "from 6");
    CHECK_FALSE(second.find(6)->connected);
    second.find(5)->connected = true;  // the oldest, but connected
    REQUIRE(second.open(8));
    CHECK(second.find(5));
    CHECK_FALSE(second.find(6));
    CHECK(second.find(8)->name().empty());
    CHECK(second.find(8)->written() == 0);
}

TEST_CASE("scrollback: when all logs belong to connected domains there is none left") {
    Memory memory{2};
    Scrollback scrollback{memory.span()};
    scrollback.open(1)->connected = true;
    scrollback.open(2)->connected = true;
    CHECK(scrollback.open(3) == nullptr);
    CHECK(scrollback.open(2) == scrollback.find(2));
    scrollback.find(1)->connected = false;
    CHECK(scrollback.open(3));
    CHECK_FALSE(scrollback.find(1));
    scrollback.forget(*scrollback.find(2));
    CHECK(scrollback.open(4));
    CHECK(scrollback.logs().size() == 2);
}

TEST_CASE("scrollback: names are cut, never unterminated") {
    Memory memory{1};
    Scrollback scrollback{memory.span()};
    Log& log = *scrollback.open(1);
    log.rename(std::string(500, 'n'));
    CHECK(log.name() == std::string(Scrollback::kNameBytes - 1, 'n'));
    log.rename("");
    CHECK(log.name().empty());
}

TEST_CASE("scrollback: damaged memory is adopted as far as it is whole, whatever is in it") {
    unsigned random = 7;
    auto next = [&] { return random = random * 1664525 + 1013904223, random >> 16; };
    for (int round = 0; round < 300; round++) {
        Memory memory{4};
        {
            Scrollback scrollback{memory.span()};
            for (uint64_t badge = 0; badge < 4; badge++)
                scrollback.open(badge)->append(bytes(std::string(next() % 40000, 'k')));
        }
        // Headers are where damage hurts.
        for (unsigned hits = next() % 8; hits > 0; hits--)
            memory.bytes[next() % 4 * Scrollback::kSlotBytes + next() % 80] = static_cast<std::byte>(next());
        Scrollback scrollback{memory.span()};
        for (Log* log : scrollback.logs()) {
            CHECK(read_all(*log).size() <= Log::capacity());
            log->append(bytes("goes on"));
            const std::string text = read_all(*log);
            CHECK(text.substr(text.size() - 7) == "goes on");
        }
        for (uint64_t badge = 10; badge < 14; badge++) REQUIRE(scrollback.open(badge));
        CHECK(scrollback.logs().size() == 4);
    }
}

TEST_CASE("scrollback: two slots of one badge, and memory that is no multiple of a slot") {
    Memory memory{2};
    {
        Scrollback scrollback{memory.span()};
        scrollback.open(9)->append(bytes("first"));
    }
    std::memcpy(memory.bytes.data() + Scrollback::kSlotBytes, memory.bytes.data(), Scrollback::kSlotBytes);
    Scrollback scrollback{memory.span()};
    CHECK(scrollback.logs().size() == 1);
    Scrollback cut{memory.span().first(Scrollback::kSlotBytes + 100)};
    CHECK(cut.logs().size() == 1);
    Scrollback none{std::span<std::byte>{}};
    CHECK(none.open(1) == nullptr);
}
