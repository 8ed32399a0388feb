// SPDX-License-Identifier: Apache-2.0
#include "boot/options/options.hpp"

#include <catch2/catch.hpp>
#include <cstring>
#include <string>
#include <vector>

using namespace bulkhead;
using namespace bulkhead::boot;
using abi::ConsoleDevice;

namespace {

struct Said {
    Problem problem;
    std::string word, part, why;
};

struct Parsed final : Complaints {
    explicit Parsed(std::string_view text) : line{text}, options{parse_options(line, *this)} {}
    void add(const Complaint& c) override {
        said.push_back({c.problem, std::string{c.word}, std::string{c.part}, c.why ? c.why : ""});
    }
    std::vector<Said> said;
    std::string line;
    abi::BootOptions options;
};

// What the line gives, nothing being wrong with it.
abi::BootOptions good(std::string_view line) {
    const Parsed p{line};
    INFO(line << (p.said.empty() ? "" : ": complaint about '" + p.said[0].part + "': " + p.said[0].why));
    CHECK(p.said.empty());
    return p.options;
}

// One complaint of this kind, with a reason, about this part; the options are what they were.
void bad(Problem problem, std::string_view line, std::string_view part) {
    const Parsed p{line};
    INFO(line);
    REQUIRE(p.said.size() == 1);
    CHECK(p.said[0].problem == problem);
    CHECK(p.said[0].word == line);
    CHECK(p.said[0].part == part);
    CHECK(p.said[0].why.size() > 5);
    const abi::BootOptions untouched = abi::default_options();
    CHECK(memcmp(&p.options, &untouched, sizeof untouched) == 0);
}
void malformed(std::string_view line, std::string_view part) {
    bad(Problem::Malformed, line, part);
}
void unsupported(std::string_view line, std::string_view part) {
    bad(Problem::Unsupported, line, part);
}

}  // namespace

TEST_CASE("options: no options, and what loaders put around them") {
    const abi::BootOptions defaults = abi::default_options();
    CHECK(defaults.console[0] == ConsoleDevice::Com1);
    CHECK(defaults.console[1] == ConsoleDevice::Vga);
    CHECK(defaults.console[2] == ConsoleDevice::None);
    CHECK(defaults.conring_size == 128 << 10);
    for (const char* line : {"", "  ", "--", "-- console=hvc0 ro", "attack.tries=5 attack.seed=0x1"})
        CHECK(good(line).maxcpus == 0);
    CHECK(good("maxcpus=2 -- maxcpus=9").maxcpus == 2);
    CHECK(options_of(" maxcpus=2  nosmp -- maxcpus=9") == "maxcpus=2  nosmp");
    CHECK(options_of("com1=115200,8n1") == "com1=115200,8n1");
    CHECK(options_of(" mem=1G ") == "mem=1G");
}

TEST_CASE("options: unknown ones and other ones of Xen's are told apart") {
    const Parsed p{"maxcpu=2 cpufreq=xen no-hap no-bananas x.y=1 mtrr.show nosmpx"};
    REQUIRE(p.said.size() == 6);
    const Problem expected[] = {Problem::Unknown, Problem::XensOnly, Problem::XensOnly,
                                Problem::Unknown, Problem::XensOnly, Problem::Unknown};
    for (size_t i = 0; i < 6; i++) {
        INFO(p.said[i].word);
        CHECK(p.said[i].problem == expected[i]);
        CHECK(p.said[i].part.empty());
    }
    CHECK(p.said[0].word == "maxcpu=2");
    CHECK(p.said[2].word == "no-hap");
}

TEST_CASE("options: booleans") {
    for (const char* line : {"nosmp", "nosmp=yes", "nosmp=on", "nosmp=true", "nosmp=enable", "nosmp=1"})
        CHECK(good(line).nosmp == 1);
    for (const char* line : {"smt=no", "smt=off", "smt=false", "smt=disable", "smt=0", "no-smt"})
        CHECK(good(line).smt == 0);
    CHECK(good("nosmp no-nosmp").nosmp == 0);
    CHECK(good("no-nosmp nosmp").nosmp == 1);
    CHECK(good("noreboot").noreboot == 1);
    CHECK(good("sync_console").sync_console == 1);
    CHECK(good("selftest").selftest == 1);
    CHECK(good("selftest no-selftest").selftest == 0);
    malformed("smt=maybe", "maybe");
    malformed("smt=", "");
    malformed("no-smt=no", "");
    malformed("sync_console=2", "2");
    malformed("no-mem", "");
    malformed("mem", "");
}

TEST_CASE("options: numbers and sizes") {
    CHECK(good("maxcpus=3").maxcpus == 3);
    CHECK(good("maxcpus=0x10").maxcpus == 16);
    CHECK(good("maxcpus=010").maxcpus == 8);
    for (const char* line : {"maxcpus=0", "maxcpus=-1", "maxcpus=two", "maxcpus=2x", "maxcpus=", "maxcpus=09",
                             "maxcpus=99999999999999999999"})
        malformed(line, std::string_view{line}.substr(8));
    CHECK(good("mem=512M").mem == 512 << 20);
    CHECK(good("mem=512m").mem == 512 << 20);
    CHECK(good("mem=3G").mem == uint64_t{3} << 30);
    CHECK(good("mem=1T").mem == uint64_t{1} << 40);
    CHECK(good("mem=1048576").mem == 1 << 30);
    CHECK(good("mem=0x40000000B").mem == 0x40000000Bull << 10);
    CHECK(good("mem=1073741824b").mem == 1 << 30);
    for (const char* line : {"mem=0", "mem=G", "mem=1GB", "mem=-1G", "mem=20000000T", "mem=1.5G"})
        malformed(line, std::string_view{line}.substr(4));
    CHECK(good("conring_size=64k").conring_size == 64 << 10);
    CHECK(good("conring_size=33k").conring_size == 64 << 10);
    CHECK(good("conring_size=1").conring_size == 16 << 10);
    CHECK(good("conring_size=16M").conring_size == 16 << 20);
    malformed("conring_size=17M", "17M");
    CHECK(good("watchdog watchdog_timeout=20").watchdog_timeout == 20);
    CHECK(good("watchdog_timeout=20").watchdog == 1);
    CHECK(good("watchdog watchdog_timeout=0").watchdog == 0);
    CHECK(good("watchdog_timeout=20 no-watchdog").watchdog == 0);
    malformed("watchdog_timeout=5s", "5s");
}

TEST_CASE("options: the last one counts; a malformed one leaves what was") {
    CHECK(good("maxcpus=3 maxcpus=2").maxcpus == 2);
    CHECK(good("console=com2 console=vga").console[0] == ConsoleDevice::Vga);
    const Parsed p{"mem=1G mem=much"};
    CHECK(p.said.size() == 1);
    CHECK(p.options.mem == 1 << 30);
}

TEST_CASE("options: console=") {
    const auto both = good("console=com2,com1");
    CHECK(both.console[0] == ConsoleDevice::Com2);
    CHECK(both.console[1] == ConsoleDevice::Com1);
    CHECK(both.console[2] == ConsoleDevice::None);
    CHECK(first_serial(both) == ConsoleDevice::Com2);
    CHECK(!has_console(both, ConsoleDevice::Vga));
    CHECK(first_serial(good("console=vga")) == ConsoleDevice::None);
    CHECK(first_serial(good("console=vga,com2")) == ConsoleDevice::Com2);
    CHECK(good("console=none").console[0] == ConsoleDevice::None);
    CHECK(good("console=com1,com1,vga").console[1] == ConsoleDevice::Vga);
    malformed("console=com3", "com3");
    malformed("console=none,vga", "none");
    malformed("console=", "");
    unsupported("console=xhci", "xhci");
    unsupported("console=dbgp2", "dbgp2");
    const Parsed shared{"console=com2H"};
    REQUIRE(shared.said.size() == 1);
    CHECK(shared.said[0].problem == Problem::Unsupported);
    CHECK(shared.options.console[0] == ConsoleDevice::Com2);
}

TEST_CASE("options: com1= and com2=") {
    const abi::SerialOptions usual = good("com1=115200,8n1,0x3f8,4").com[0];
    const abi::SerialOptions untouched = abi::default_options().com[0];
    CHECK(memcmp(&usual, &untouched, sizeof usual) == 0);
    const abi::SerialOptions slow = good("com2=9600/1843200,7e2,0x3e8,10").com[1];
    CHECK(slow.baud == 9600);
    CHECK(slow.base_baud == 1843200);
    CHECK(slow.data_bits == 7);
    CHECK(slow.parity == abi::Parity::Even);
    CHECK(slow.stop_bits == 2);
    CHECK(slow.io_base == 0x3e8);
    CHECK(slow.irq == 10);
    CHECK(good("com1=auto").com[0].baud == 0);
    CHECK(good("com1=,,,0").com[0].irq == 0);
    CHECK(good("com1=,,0x2e8").com[0].io_base == 0x2e8);
    CHECK(good("com1=57600,8n1,0x3f8,4,reg-width=1,reg-shift=0").com[0].baud == 57600);
    const abi::SerialOptions named =
        good("com1=baud=38400,parity=o,stop-bits=2,data-bits=5,io-base=0x2e8,irq=5").com[0];
    CHECK(named.baud == 38400);
    CHECK(named.parity == abi::Parity::Odd);
    CHECK(named.data_bits == 5);
    CHECK(named.io_base == 0x2e8);
    CHECK(named.irq == 5);
    CHECK(good("com1=9600,clock-hz=1843200").com[0].base_baud == 115200);
    malformed("com1=fast", "fast");
    malformed("com1=115200,8x1", "8x1");
    malformed("com1=115200,9n1", "9");
    malformed("com1=115200,8n3", "3");
    malformed("com1=115200,8n11", "8n11");
    malformed("com1=115200,8n1,port", "port");
    malformed("com1=115200,8n1,0x3f8,four", "four");
    malformed("com1=115200,8n1,0x3f8,4,,,7", "7");
    malformed("com1=speed=9600", "speed=9600");
    malformed("com1=230400", "230400");  // faster than the divisor of 1
    malformed("com1=1", "1");            // a divisor of more than 16 bits
    malformed("com1=", "");
    unsupported("com1=115200,8n1,pci", "pci");
    unsupported("com1=115200,8n1,0xfe000000", "0xfe000000");
    unsupported("com1=115200,8n1,0x3f8,msi", "msi");
    unsupported("com1=115200,8n1,0x3f8,19", "19");
    unsupported("com1=115200,8n1,0x3f8,4,02:00.0", "02:00.0");
    unsupported("com1=115200,8n1,0x3f8,4,reg-width=4,reg-shift=2", "reg-width=4");
    unsupported("com2=dev=amt", "dev=amt");
}

TEST_CASE("options: log levels") {
    const char* const names[] = {"none", "error", "warning", "info", "debug"};
    for (uint32_t i = 0; i < 5; i++) {
        CHECK(good(std::string{"loglvl="} + names[i]).loglvl == i);
        CHECK(good(std::string{"guest_loglvl="} + names[i]).guest_loglvl == i);
    }
    CHECK(good("loglvl=all").loglvl == 4);
    CHECK(good("guest_loglvl=none/warning").guest_loglvl == 2);
    CHECK(good("loglvl=all/error").loglvl == 4);
    for (const char* line : {"loglvl=loud", "loglvl=3", "loglvl=", "loglvl=/info", "loglvl=info/all/all"}) {
        malformed(line, std::string_view{line}.substr(7));
    }
}

TEST_CASE("options: vga=") {
    using abi::VgaMode;
    CHECK(good("vga=current").vga.mode == VgaMode::Current);
    CHECK(good("vga=keep,text-80x25").vga.mode == VgaMode::Text);
    CHECK(good("vga=text-80x50 vga=keep").vga.mode == VgaMode::Current);
    CHECK(good("vga=text-80x50").vga.rows == 50);
    const auto big = good("vga=gfx-1920x1080x32,keep").vga;
    CHECK(big.mode == VgaMode::Graphics);
    CHECK(big.width == 1920);
    CHECK(big.height == 1080);
    CHECK(big.bits == 32);
    for (const char* value : {"ask", "mode-0x317", "mode-317", "mode-F00"})
        unsupported(std::string{"vga="} + value, value);
    for (const char* value : {"text-80x26", "text-40x25", "gfx-1024x768", "gfx-0x768x32", "gfx-1024x768x64",
                              "mode-", "mode-12345", "mode-xyz", "bright"})
        malformed(std::string{"vga="} + value, value);
    malformed("vga=current,text-80x25", "text-80x25");
    unsupported("vga=keep,ask", "ask");
}

TEST_CASE("options: vga= is met by the screen that it describes") {
    const auto met = [](std::string_view line, const abi::BootFramebuffer& screen) {
        return is_met(good(line).vga, screen);
    };
    constexpr abi::BootFramebuffer kNone{};
    abi::BootFramebuffer pixels{};
    pixels.width = 1024;
    pixels.height = 768;
    pixels.bits = 32;
    pixels.red_bits = pixels.green_bits = pixels.blue_bits = 8;
    abi::BootFramebuffer text{};
    text.width = 80;
    text.height = 25;
    text.text = 1;
    for (const auto& screen : {kNone, pixels, text}) CHECK(met("vga=current,keep", screen));
    for (const char* line : {"vga=gfx-1024x768x32", "vga=gfx-1024x768x24"}) CHECK(met(line, pixels));
    for (const char* line :
         {"vga=gfx-1024x768x16", "vga=gfx-1024x600x32", "vga=gfx-800x768x32", "vga=text-80x25"})
        CHECK_FALSE(met(line, pixels));
    CHECK(met("vga=text-80x25", text));
    for (const char* line : {"vga=text-80x50", "vga=gfx-80x25x16"}) CHECK_FALSE(met(line, text));
    for (const char* line : {"vga=text-80x25", "vga=gfx-1024x768x32"}) CHECK_FALSE(met(line, kNone));
}

TEST_CASE("options: dom0's") {
    const auto plain = good("dom0_mem=512M,max:1G");
    CHECK(plain.dom0_mem.bytes == 512 << 20);
    CHECK(plain.dom0_mem_max.bytes == 1 << 30);
    CHECK(plain.dom0_mem_max.given == 1);
    CHECK(plain.dom0_mem_min.given == 0);
    CHECK(good("dom0_mem=-256M").dom0_mem.bytes == -(256 << 20));
    const auto part = good("dom0_mem=1G+25%,min:10%").dom0_mem;
    CHECK(part.bytes == 1 << 30);
    CHECK(part.percent == 25);
    CHECK(good("dom0_mem=min:10%").dom0_mem.given == 0);
    CHECK(good("dom0_mem=min:10%").dom0_mem_min.percent == 10);
    CHECK(good("dom0_mem=64M dom0_mem=max:1G").dom0_mem.given == 0);
    for (const char* value : {"lots", "100%", "1G+", "25%+1G", "-", "5%5%"})
        malformed(std::string{"dom0_mem="} + value, value);
    malformed("dom0_mem=1G,mid:2G", "mid:2G");
    CHECK(good("dom0_max_vcpus=1").maxcpus == 0);
    for (const char* value : {"4", "4-8", "-8", "4-", "1-1"})
        unsupported(std::string{"dom0_max_vcpus="} + value, value);
    for (const char* value : {"-", "0", "many", "4-8-9", ""})
        malformed(std::string{"dom0_max_vcpus="} + value, value);
    unsupported("dom0_vcpus_pin", "");
    good("no-dom0_vcpus_pin");
}

TEST_CASE("options: reboot= and watchdog") {
    using abi::ResetMethod;
    CHECK(good("reboot=t").reboot_method == ResetMethod::Triple);
    CHECK(good("reboot=kbd").reboot_method == ResetMethod::Keyboard);
    CHECK(good("reboot=acpi,warm").warm_reboot == 1);
    CHECK(good("reboot=a,c").reboot_method == ResetMethod::Acpi);
    CHECK(good("reboot=p").reboot_method == ResetMethod::Pci);
    CHECK(good("reboot=P").reboot_method == ResetMethod::Power);
    CHECK(good("reboot=no").noreboot == 1);
    CHECK(good("no-reboot").noreboot == 1);
    CHECK(good("noreboot reboot=pci").noreboot == 1);
    CHECK(good("reboot=pci").noreboot == 0);
    malformed("reboot=bios", "bios");
    malformed("reboot=", "");
    unsupported("reboot=efi", "efi");
    CHECK(good("watchdog").watchdog == 1);
    const Parsed force{"watchdog=force"};
    CHECK(force.options.watchdog == 1);
    REQUIRE(force.said.size() == 1);
    CHECK(force.said[0].problem == Problem::Unsupported);
    CHECK(good("watchdog no-watchdog").watchdog == 0);
    malformed("watchdog=hard", "hard");
}

TEST_CASE("options: spec-ctrl=, iommu=, sched=, ucode=") {
    CHECK(good("spec-ctrl=bti-thunk=retpoline,ibpb=no").ibpb == 0);
    CHECK(good("spec-ctrl=no-ibpb spec-ctrl=ibpb").ibpb == 1);
    CHECK(good("spec-ctrl=no-ssbd,eager-fpu,l1d-flush=off").ibpb == 1);
    unsupported("spec-ctrl=ssbd", "ssbd");
    unsupported("spec-ctrl=bti-thunk=jmp", "bti-thunk=jmp");
    unsupported("spec-ctrl=hvm=yes", "hvm=yes");
    malformed("spec-ctrl=fast", "fast");
    const Parsed off{"spec-ctrl=no"};
    REQUIRE(off.said.size() == 1);
    CHECK(off.said[0].problem == Problem::Unsupported);
    CHECK(off.options.ibpb == 0);
    good("iommu=off no-iommu");
    CHECK(good("iommu=required").iommu_required == 1);
    CHECK(good("iommu=force iommu=no-force").iommu_required == 0);
    unsupported("iommu=on", "on");
    unsupported("iommu", "");
    unsupported("iommu=quarantine=scratch-page", "quarantine=scratch-page");
    malformed("iommu=please", "please");
    CHECK(Parsed{"iommu=verbose,debug,perhaps"}.said.size() == 3);
    unsupported("sched=credit2", "credit2");
    malformed("sched=fifo", "fifo");
    unsupported("ucode=scan", "scan");
    unsupported("ucode=-1,nmi=no", "-1,nmi=no");
    malformed("ucode=new", "new");
}
