// SPDX-License-Identifier: Apache-2.0
#include "toolstack/supervisor/start_page.hpp"

#include <elf.h>

#include <catch2/catch.hpp>
#include <cstring>
#include <map>
#include <string>
#include <vector>

using namespace bulkhead;
using namespace bulkhead::supervisor;

TEST_CASE("start page: the stack is what the psABI says") {
    for (const std::string name : {"a", "console", "a-name-of-twenty-three"}) {
        std::vector<std::byte> memory(4096);
        const uint64_t top = 0x3000000000;
        const StackInputs in{0x1000040, 9, 0x1010, 0x2000000, 0x3100000, {11, 22}, name};
        const uint64_t rsp = write_stack(memory, top, in);
        CHECK(rsp % 16 == 0);
        auto at = [&](uint64_t address) { return memory.data() + (memory.size() - (top - address)); };
        auto word = [&](uint64_t index) {
            uint64_t value;
            std::memcpy(&value, at(rsp + 8 * index), 8);
            return value;
        };
        auto text = [&](uint64_t address) { return std::string{reinterpret_cast<const char*>(at(address))}; };
        CHECK(word(0) == 1);
        CHECK(text(word(1)) == name);
        CHECK(word(2) == 0);
        CHECK(text(word(3)).starts_with("GLIBC_TUNABLES="));
        CHECK(word(4) == 0);
        std::map<uint64_t, uint64_t> aux;
        uint64_t i = 5;
        for (; word(i) != AT_NULL; i += 2) aux[word(i)] = word(i + 1);
        CHECK(rsp + 8 * (i + 2) <= top);
        CHECK(aux[AT_PHDR] == in.program_headers);
        CHECK(aux[AT_PHNUM] == 9);
        CHECK(aux[AT_PHENT] == sizeof(Elf64_Phdr));
        CHECK(aux[AT_ENTRY] == in.entry);
        CHECK(aux[AT_PAGESZ] == 4096);
        CHECK(aux[AT_SYSINFO_EHDR] == in.vdso);
        CHECK(aux[abi::kAtBulkhead] == in.start_info);
        CHECK(std::memcmp(at(aux[AT_RANDOM]), in.random, 16) == 0);
        CHECK(text(aux[AT_EXECFN]) == name);
    }
}

TEST_CASE("start page: what does not fit is refused") {
    StartPage page{std::string(100, 'x'), 5, 2};
    CHECK(std::string{page.info().name} == std::string(31, 'x'));
    CHECK(page.info().incarnation == 2);
    CHECK_FALSE(page.add(std::string(25, 'n'), 1, abi::ObjectType::Endpoint));
    unsigned added = 0;
    while (page.add("cap-" + std::to_string(added), added, abi::ObjectType::Frame)) added++;
    CHECK(added == std::size(page.info().cap));
    CHECK(page.info().caps == added);
}
