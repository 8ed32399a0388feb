// SPDX-License-Identifier: Apache-2.0
// Random mmap, munmap, mprotect, madvise and brk against a model of what every page must hold. Prints a
// digest that depends on contents only, so that it is the same everywhere.
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <memory>
#include <vector>

namespace {

constexpr size_t kPage = 4096;

struct Page {
    bool mapped = false, writable = false;
    uint64_t value = 0;  // at the start and the end of the page; 0: never written
};

struct Area {
    char* at;
    std::vector<Page> pages;
};

uint64_t seed = 12345, wrong = 0, digest = 0;

uint64_t random_below(uint64_t n) {
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (seed >> 33) % n;
}

void check(const Area& area, size_t i) {
    const Page& page = area.pages[i];
    if (!page.mapped) return;
    uint64_t first = 0, last = 0;
    std::memcpy(&first, area.at + i * kPage, 8);
    std::memcpy(&last, area.at + i * kPage + kPage - 8, 8);
    if (first != page.value || last != page.value) ++wrong;
    digest = digest * 31 + first;
}

void write(Area& area, size_t i) {
    Page& page = area.pages[i];
    if (!page.mapped || !page.writable) return;
    page.value = seed | 1;
    std::memcpy(area.at + i * kPage, &page.value, 8);
    std::memcpy(area.at + i * kPage + kPage - 8, &page.value, 8);
}

void step(Area& area) {
    const size_t from = random_below(area.pages.size()),
                 count = 1 + random_below(std::min<size_t>(area.pages.size() - from, 24));
    char* const at = area.at + from * kPage;
    const auto each = [&](auto change) {
        for (size_t i = from; i < from + count; ++i) change(area.pages[i]);
    };
    switch (random_below(6)) {
        case 0:
            if (mprotect(at, count * kPage, PROT_READ | PROT_WRITE) != 0) ++wrong;
            each([](Page& page) { page.mapped = page.writable = true; });
            break;
        case 1:
            if (mprotect(at, count * kPage, PROT_READ) != 0) ++wrong;
            each([](Page& page) {
                page.mapped = true;
                page.writable = false;
            });
            break;
        case 2:  // the whole range is mapped anew: empty
            if (mmap(at, count * kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
                     0) != at)
                ++wrong;
            each([](Page& page) { page = {true, true, 0}; });
            break;
        case 3:
            if (mmap(at, count * kPage, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != at)
                ++wrong;
            each([](Page& page) { page = {}; });
            break;
        case 4:
            for (size_t i = from; i < from + count; ++i) {
                if (!area.pages[i].writable) continue;
                if (madvise(area.at + i * kPage, kPage, MADV_DONTNEED) != 0) ++wrong;
                area.pages[i].value = 0;
            }
            break;
        default:
            for (size_t i = from; i < from + count; ++i) write(area, i);
    }
    for (size_t i = from > 2 ? from - 2 : 0; i < std::min(from + count + 2, area.pages.size()); ++i)
        check(area, i);
}

void areas() {
    constexpr size_t kAreas = 6;
    std::vector<Area> all;
    for (int n = 0; n < 3000; ++n) {
        if (all.size() < kAreas) {
            const size_t pages = 1 + random_below(n % 5 == 0 ? 700 : 60);
            void* at = mmap(nullptr, pages * kPage, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
            if (at == MAP_FAILED) {
                ++wrong;
                continue;
            }
            all.push_back({static_cast<char*>(at), std::vector<Page>(pages)});
        }
        const size_t which = random_below(all.size());
        step(all[which]);
        if (random_below(40) == 0) {
            for (size_t i = 0; i < all[which].pages.size(); ++i) check(all[which], i);
            if (munmap(all[which].at, all[which].pages.size() * kPage) != 0) ++wrong;
            all.erase(all.begin() + static_cast<long>(which));
        }
    }
    for (const Area& area : all) munmap(area.at, area.pages.size() * kPage);
    std::printf("areas: wrong %llu, digest %llx\n", static_cast<unsigned long long>(wrong),
                static_cast<unsigned long long>(digest));
}

// What brk gives back and takes again is zero.
void heap_end() {
    auto* const start = static_cast<char*>(sbrk(0));
    uint64_t dirty = 0;
    for (int n = 0; n < 200; ++n) {
        const auto bytes = static_cast<intptr_t>(1 + random_below(300000));
        auto* const at = static_cast<char*>(sbrk(bytes));
        if (at != start) ++wrong;
        for (intptr_t i = 0; i < bytes; i += 97) dirty += at[i] != 0;
        std::memset(at, 0x5a, static_cast<size_t>(bytes));
        if (sbrk(-bytes) == nullptr) ++wrong;
    }
    std::printf("brk: wrong %llu, dirty %llu\n", static_cast<unsigned long long>(wrong),
                static_cast<unsigned long long>(dirty));
}

// More than there is: an error, and everything works afterwards.
void too_much() {
    std::vector<std::unique_ptr<char[]>> blocks;
    bool refused = false;
    try {
        blocks.emplace_back(new char[size_t{1} << 45]);
    } catch (const std::bad_alloc&) {
        refused = true;
    }
    const auto block = std::make_unique<char[]>(1 << 20);
    std::printf("too much: refused %d, then %d\n", refused, block[12345] == 0);
}

}  // namespace

int main() {
    areas();
    heap_end();
    too_much();
    std::printf("memory: done\n");
    return wrong != 0;
}
