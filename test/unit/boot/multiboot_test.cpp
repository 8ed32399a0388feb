// SPDX-License-Identifier: Apache-2.0
#include "kernel/init/multiboot.hpp"
#include "kernel/init/text_screen.hpp"

#include <catch2/catch.hpp>
#include <memory>
#include <string>

#include "test/unit/boot/multiboot_world.hpp"

using namespace bulkhead;
using namespace bulkhead::init;
using namespace multiboot_test;
using abi::MemoryType;

namespace {

constexpr uint32_t kInfoAt = 0x9000, kManifestAt = 0x1000000, kBootfsAt = 0x1200000;
constexpr uint64_t kMiB = 1 << 20;
const Bytes kTree = {0xd0, 0x0d, 0xfe, 0xed, 0, 0, 0, 0}, kArchive = {'0', '7', '0', '7', '0', '1', '0', '0'};

struct Machine {
    Memory memory;
    Bytes rsdp = put_acpi(memory);
    std::unique_ptr<boot::MemoryMap> map = std::make_unique<boot::MemoryMap>();
    std::unique_ptr<abi::BootInfo> info = std::make_unique<abi::BootInfo>();
    FirmwareMap firmware;

    Machine() {
        memory.put(kManifestAt, kTree);
        memory.put(kBootfsAt, kArchive);
        info->kernel_base = 2 * kMiB;
        info->kernel_size = kMiB;
    }
    std::string read(uint32_t magic, const Bytes& information) {
        memory.put(kInfoAt, information);
        const char* why = read_multiboot(memory, magic, kInfoAt, firmware, 0, *map, *info);
        return why != nullptr ? why : "";
    }
    std::string read(const Tags& tags) { return read(kMultiboot2Magic, tags.end()); }
    MemoryType at(uint64_t address) const {
        for (uint32_t i = 0; i < info->ranges; ++i)
            if (address >= info->range[i].base && address - info->range[i].base < info->range[i].size)
                return info->range[i].type;
        return MemoryType{};
    }
    std::string names() const {
        std::string all;
        for (uint32_t i = 0; i < info->modules; ++i) all += std::string{info->module[i].name} + " ";
        return all;
    }
};

// What GRUB 2.06 tells on a BIOS.
Tags grub(const Machine& m) {
    return Tags{}
        .text(1, "console=com1 loglvl=all")
        .text(2, "GRUB 2.06-13+deb12u2")
        .module(kManifestAt, kManifestAt + 8, "manifest")
        .module(kBootfsAt, kBootfsAt + 8, "bootfs")
        .memory(
            {{0, 0x9fc00, 1}, {0x100000, 126 * kMiB, 1}, {0x7f00000, kMiB, 3}, {0x100000000, 4096 * kMiB, 1}})
        .tag(14, m.rsdp);
}

Tags without_memory(const Machine& m) {
    return Tags{}.text(2, "GRUB 2.06").module(kBootfsAt, kBootfsAt + 8, "bootfs").tag(14, m.rsdp);
}

}  // namespace

TEST_CASE("multiboot2: GRUB's tags become one BootInfo") {
    Machine m;
    REQUIRE(m.read(grub(m)) == "");
    const abi::BootInfo& info = *m.info;
    CHECK(info.magic == abi::kBootInfoMagic);
    CHECK(std::string{info.options} == "console=com1 loglvl=all");
    CHECK(std::string{info.loader} == "GRUB 2.06-13+deb12u2");
    CHECK(m.names() == "manifest bootfs ");
    CHECK(info.module[1].base == kBootfsAt);
    CHECK(info.module[1].size == 8);
    CHECK(info.cpus == 1);
    CHECK(info.ioapics == 1);
    CHECK(m.at(0) == MemoryType::Reserved);
    CHECK(m.at(0x2000) == MemoryType::Free);
    CHECK(m.at(2 * kMiB) == MemoryType::Kernel);
    CHECK(m.at(kManifestAt) == MemoryType::Module);
    CHECK(m.at(0x7f00000) == MemoryType::AcpiReclaim);
    CHECK(m.at(0x1fffff000) == MemoryType::Free);
    CHECK(m.at(0xc0000) == MemoryType::Reserved);
    CHECK(info.framebuffer.width == 0);
}

TEST_CASE("multiboot2: the page of the loader's copy of the RSDP is not given away") {
    Machine m;
    REQUIRE(m.read(grub(m)) == "");
    CHECK(m.info->rsdp > kInfoAt);
    CHECK(m.at(m.info->rsdp) == MemoryType::AcpiReclaim);
}

TEST_CASE("multiboot2: the new RSDP is preferred to the old one, and a bad one is told") {
    Machine m;
    Bytes bad = m.rsdp;
    bad[3] ^= 1;
    CHECK(m.read(grub(m).tag(15, bad)) == "the ACPI root pointer (RSDP) is damaged");
}

TEST_CASE("multiboot2: without any ACPI tag the BIOS areas are searched") {
    Machine m;
    const auto tags = [] { return Tags{}.text(2, "x").memory({{0x100000, 126 * kMiB, 1}}); };
    CHECK(m.read(tags()) == "firmware offers no ACPI root pointer (RSDP)");
    Machine n;
    n.memory.put(0xf5a00, n.rsdp);
    CHECK(n.read(tags()) == "");
    CHECK(n.info->rsdp == 0xf5a00);
}

TEST_CASE("multiboot2: a framebuffer of pixels is taken with its colours, text and palettes are not") {
    Bytes screen;
    append(screen, uint64_t{0xfd000000});
    for (const uint32_t word : {4096u, 1024u, 768u}) append(screen, word);
    for (const uint8_t byte : std::initializer_list<uint8_t>{32, 1, 0, 0, 16, 8, 8, 8, 0, 8})
        screen.push_back(byte);
    Machine m;
    REQUIRE(m.read(grub(m).tag(8, screen)) == "");
    const abi::BootFramebuffer& f = m.info->framebuffer;
    CHECK(f.base == 0xfd000000);
    CHECK((f.width == 1024 && f.height == 768 && f.pitch == 4096 && f.bits == 32));
    CHECK((f.red_position == 16 && f.red_bits == 8 && f.green_position == 8 && f.blue_position == 0 &&
           f.blue_bits == 8));
    screen[20] = 24;  // GRUB under UEFI: the line says that a pixel has 4 bytes
    Machine q;
    REQUIRE(q.read(grub(q).tag(8, screen)) == "");
    CHECK(q.info->framebuffer.bits == 32);
    const uint32_t pitch = 3 * 1024;
    std::memcpy(screen.data() + 8, &pitch, 4);
    Machine r;
    REQUIRE(r.read(grub(r).tag(8, screen)) == "");
    CHECK(r.info->framebuffer.bits == 24);
    screen[21] = 2;
    Machine n;
    REQUIRE(n.read(grub(n).tag(8, screen)) == "");
    CHECK(n.info->framebuffer.width == 0);
    screen[21] = 1;
    screen.resize(20);
    Machine o;
    REQUIRE(o.read(grub(o).tag(8, screen)) == "");
    CHECK(o.info->framebuffer.width == 0);
}

TEST_CASE("multiboot2: the firmware's own memory map is preferred to the loader's") {
    const Bytes map = efi_map({{0, 0x9f, 7},
                               {0x100000, 0x7000, 7},
                               {0x7100000, 0x100, 4},
                               {0x7200000, 0x100, 2},
                               {0x7300000, 0x10, 6},
                               {0x7310000, 0x10, 10},
                               {0x7320000, 0x10, 8},
                               {0xfed00000, 1, 11}});
    Machine m;
    Bytes tag;
    append(tag, uint32_t{48});
    append(tag, uint32_t{1});
    tag.insert(tag.end(), map.begin(), map.end());
    REQUIRE(m.read(grub(m).tag(17, tag)) == "");
    CHECK(m.at(0x7100000) == MemoryType::Free);  // boot services are over
    CHECK(m.at(0x7200000) == MemoryType::Boot);
    CHECK(m.at(0x7300000) == MemoryType::Reserved);
    CHECK(m.at(0x7310000) == MemoryType::AcpiNvs);
    CHECK(m.at(0x7320000) == MemoryType::Bad);
    CHECK(m.at(0xfed00000) == MemoryType::Mmio);
    CHECK(m.at(0x1fffff000) == MemoryType{});  // only in the loader's map
}

TEST_CASE(
    "multiboot2: boot services that the kernel left itself give the map; nobody else may leave them "
    "running") {
    Machine m;
    CHECK(m.read(without_memory(m).tag(18, {})).find("32-bit mode") != std::string::npos);
    const Bytes map = efi_map({{0x100000, 0x7000, 7}}, 40);
    Machine n;
    n.firmware = {map.data(), map.size(), 40};
    REQUIRE(n.read(without_memory(n).tag(18, {})) == "");
    CHECK(n.at(0x3000000) == MemoryType::Free);
}

TEST_CASE("multiboot2: a memory map is demanded, and a damaged one refused") {
    Machine m;
    CHECK(m.read(without_memory(m)) == "the boot loader passes no memory map");
    for (const uint32_t each : {0u, 8u, 23u}) {
        Bytes map;
        append(map, each);
        map.resize(64);
        Machine n;
        CHECK(n.read(without_memory(n).tag(6, map)).find("damaged") != std::string::npos);
        Machine o;
        CHECK(o.read(without_memory(o).tag(17, map)).find("damaged") != std::string::npos);
    }
    Machine p;
    REQUIRE(p.read(without_memory(p).memory({{0, 64 * kMiB, 1}}, 40)) == "");  // entries may grow
    CHECK(p.at(0x3000000) == MemoryType::Free);
}

TEST_CASE("multiboot2: sizes that lie are refused") {
    const auto information = [](const Machine& m) { return grub(m).end(); };
    const auto refused = [](Machine& m, const Bytes& bytes) {
        return m.read(kMultiboot2Magic, bytes).find("is damaged") != std::string::npos;
    };
    for (const uint32_t size : {0u, 7u, 15u, 0x200000u, 0xffffffffu}) {  // the whole
        Machine m;
        Bytes bytes = information(m);
        std::memcpy(bytes.data(), &size, 4);
        CHECK(refused(m, bytes));
    }
    for (const uint32_t size : {0u, 7u, 0x1000u, 0xfffffff9u, 0xffffffffu}) {  // the first tag
        Machine m;
        Bytes bytes = information(m);
        std::memcpy(bytes.data() + 12, &size, 4);
        CHECK(refused(m, bytes));
    }
    for (size_t cut = 8; cut <= 16; cut += 8) {  // no end
        Machine m;
        Bytes bytes = information(m);
        bytes.resize(bytes.size() - cut);
        const auto size = static_cast<uint32_t>(bytes.size());
        std::memcpy(bytes.data(), &size, 4);
        CHECK(refused(m, bytes));
    }
    Machine m;
    CHECK(refused(m, Bytes{8, 0, 0, 0}));
}

TEST_CASE("modules: named by their text's last word, else found by their contents") {
    const auto names = [](std::string_view first, std::string_view second) {
        Machine m;
        const Tags tags = Tags{}
                              .text(2, "GRUB 2.06")
                              .tag(14, m.rsdp)
                              .memory({{0x100000, 126 * kMiB, 1}})
                              .module(kManifestAt, kManifestAt + 8, first)
                              .module(kBootfsAt, kBootfsAt + 8, second);
        REQUIRE(m.read(tags) == "");
        return m.names();
    };
    CHECK(names("/boot/x.dtb manifest", "out/y.cpio bootfs") == "manifest bootfs ");
    CHECK(names("/boot/manifest.dtb", "bootfs.cpio ") == "manifest bootfs ");
    CHECK(names("", "") == "manifest bootfs ");
    CHECK(names("/bulkhead-0.1.0.dtb", "/bulkhead-0.1.0.cpio") == "manifest bootfs ");
    CHECK(names("bootfs", "manifest") == "bootfs manifest ");  // a name that was given stands
    CHECK(names("bootfs", "") == "bootfs  ");
    CHECK(names("x", "ucode") == "manifest ucode ");  // microcode is a cpio archive, too
}

TEST_CASE("modules: unaligned, reversed, over the kernel, or too many are refused") {
    const auto error = [](uint32_t start, uint32_t end) {
        Machine m;
        return m.read(grub(m).module(start, end, "x"));
    };
    CHECK(error(kManifestAt + 1, kManifestAt + 8) == "a boot module is not page-aligned");
    CHECK(error(kManifestAt, kManifestAt - 1) == "a boot module is not page-aligned");
    CHECK(error(0x2ff000, 0x300000) == "the boot loader put a boot module over the kernel");
    CHECK(error(0x300000, 0x301000) == "");
    Machine m;
    Tags tags = grub(m);
    for (int i = 0; i < 15; ++i) tags.module(0x4000000, 0x4000000, "x");
    CHECK(m.read(tags) == "there are more than 16 boot modules");
    Machine n;
    CHECK(n.read(grub(n).tag(3, {1, 2, 3})) == "the boot loader's list of modules is damaged");
}

namespace {

// Multiboot 1 as QEMU and mboot.c32 tell it: pointers to everything.
struct Old {
    Bytes info = Bytes(120);
    Machine& m;
    explicit Old(Machine& machine) : m{machine} {
        word(0, 1 << 2 | 1 << 3 | 1 << 6 | 1 << 9);
        text(16, 0xa000, "bulkhead.elf console=com1 noreboot");
        text(64, 0xa100, "SYSLINUX 6.04");
        Bytes list;
        for (const uint32_t w :
             {kManifestAt, kManifestAt + 8, 0xa200u, 0u, kBootfsAt, kBootfsAt + 8, 0xa300u, 0u})
            append(list, w);
        m.memory.put(0xb000, list);
        word(20, 2);
        word(24, 0xb000);
        text(0, 0xa200, "manifest.dtb");
        text(0, 0xa300, "BULKHEAD.CPI");
        word(0, 1 << 2 | 1 << 3 | 1 << 6 | 1 << 9);
        Bytes map;
        for (const auto& [base, size, type] :
             {std::array<uint64_t, 3>{0, 0x9fc00, 1}, {0x100000, 126 * kMiB, 1}}) {
            append(map, uint32_t{20});
            append(map, base);
            append(map, size);
            append(map, static_cast<uint32_t>(type));
        }
        memory(map);
        m.memory.put(0xf5a00, m.rsdp);
    }
    void word(size_t at, uint32_t value) { std::memcpy(info.data() + at, &value, 4); }
    void text(size_t at, uint32_t physical, std::string_view words) {
        Bytes bytes;
        append(bytes, words);
        bytes.push_back(0);
        m.memory.put(physical, bytes);
        word(at, physical);
    }
    void memory(const Bytes& map) {
        m.memory.put(0xc000, map);
        word(44, static_cast<uint32_t>(map.size()));
        word(48, 0xc000);
    }
    std::string read() { return m.read(kMultiboot1Magic, info); }
};

}  // namespace

TEST_CASE(
    "multiboot1: mboot.c32's information becomes one BootInfo, without the image's name in the options") {
    Machine m;
    Old old{m};
    REQUIRE(old.read() == "");
    CHECK(std::string{m.info->options} == "console=com1 noreboot");
    CHECK(std::string{m.info->loader} == "SYSLINUX 6.04");
    CHECK(m.names() == "manifest bootfs ");
    CHECK(m.at(kBootfsAt) == MemoryType::Module);
    CHECK(m.at(0x7000000) == MemoryType::Free);
    CHECK(m.info->rsdp == 0xf5a00);
}

TEST_CASE("multiboot1: an image without options, and GRUB's options, which come without the image") {
    Machine m;
    Old old{m};
    old.text(16, 0xa000, "bulkhead.elf");
    REQUIRE(old.read() == "");
    CHECK(std::string{m.info->options}.empty());
    Machine n;
    Old grub{n};
    grub.text(16, 0xa000, "com1=115200");
    grub.text(64, 0xa100, "GRUB 2.06");
    REQUIRE(grub.read() == "");
    CHECK(std::string{n.info->options} == "com1=115200");
}

TEST_CASE("multiboot1: what lies nowhere is refused or left out") {
    Machine m;
    Old no_map{m};
    no_map.word(0, 1 << 3);
    CHECK(no_map.read() == "the boot loader passes no memory map");
    Machine n;
    Old far_map{n};
    far_map.word(48, 0xfffffff0);
    CHECK(far_map.read().find("damaged") != std::string::npos);
    Machine o;
    Old many{o};
    many.word(20, 0xffffffff);
    CHECK(many.read() == "the boot loader's list of modules is damaged");
    Machine p;
    Old far_text{p};
    far_text.word(16, 0xffffffff);
    REQUIRE(far_text.read() == "");
    CHECK(std::string{p.info->options}.empty());
    Machine q;
    CHECK(q.read(kMultiboot1Magic, Bytes(20)) == "the boot loader's Multiboot information is damaged");
    Machine r;
    Old standing{r};
    standing.memory(Bytes(200));  // an entry of size 0 would never end
    CHECK(standing.read().find("damaged") != std::string::npos);
}

TEST_CASE("text screen: what a BIOS left is used where no loader named a framebuffer") {
    const auto screen = [](uint8_t mode, uint16_t columns, uint8_t last_row, uint64_t rsdp,
                           uint32_t already) {
        Memory memory;
        Bytes area(0x485 - 0x449);  // of the BIOS data area: mode, columns, …, rows less one
        area[0] = mode;
        area[1] = static_cast<uint8_t>(columns);
        area[2] = static_cast<uint8_t>(columns >> 8);
        area.back() = last_row;
        memory.put(0x449, area);
        auto info = std::make_unique<abi::BootInfo>();
        info->rsdp = rsdp;
        info->framebuffer.width = already;
        find_text_screen(memory, *info);
        return info->framebuffer;
    };
    const abi::BootFramebuffer usual = screen(3, 80, 24, 0xf0000, 0);
    CHECK(usual.text == 1);
    CHECK(usual.base == 0xb8000);
    CHECK(usual.width == 80);
    CHECK(usual.height == 25);
    CHECK(usual.pitch == 160);
    CHECK(screen(3, 80, 49, 0xf0000, 0).height == 50);
    CHECK(screen(3, 80, 0, 0xf0000, 0).height == 25);    // an old BIOS does not say
    CHECK(screen(0, 0, 0, 0xf0000, 0).width == 0);       // no VGA
    CHECK(screen(0x13, 40, 24, 0xf0000, 0).width == 0);  // graphics
    CHECK(screen(7, 80, 24, 0xf0000, 0).width == 0);     // monochrome lies elsewhere
    CHECK(screen(3, 8000, 24, 0xf0000, 0).width == 0);
    CHECK(screen(3, 80, 24, 0x7f000000, 0).width == 0);  // UEFI
    CHECK(screen(3, 80, 24, 0xf0000, 1024).text == 0);   // the loader said better
}
