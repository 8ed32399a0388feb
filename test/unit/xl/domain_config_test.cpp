// SPDX-License-Identifier: Apache-2.0
#include "toolstack/xl/domain_config.hpp"

#include <catch2/catch.hpp>

using namespace bulkhead::xl;

namespace {

const std::string kBase = "name='web'; kernel='/k'\n";

std::expected<DomainConfig, std::vector<Error>> parse(const std::string& text) {
    ConfigFile file;
    REQUIRE(file.append("web.cfg", text));
    return DomainConfig::parse(file);
}

DomainConfig good(const std::string& more) {
    auto config = parse(kBase + more);
    INFO(more);
    if (!config) FAIL(config.error()[0].sentence);
    return *config;
}

// The only complaint about kBase plus `more`.
std::string refusal(const std::string& more) {
    const auto config = parse(kBase + more);
    INFO(more);
    if (config) return "";
    CHECK(config.error().size() == 1);
    return config.error()[0].sentence;
}

}  // namespace

TEST_CASE("defaults") {
    const auto config = good("");
    CHECK(config.name == "web");
    CHECK(config.kernel == "/k");
    CHECK(config.ramdisk.empty());
    CHECK(config.memory_mib == 128);
    CHECK(config.max_memory_mib == 128);
    CHECK(config.vcpus == 1);
    CHECK(config.max_vcpus == 1);
    CHECK(config.affinity.empty());
    CHECK(config.cpu_weight == 256);
    CHECK(config.on_poweroff == Action::Destroy);
    CHECK(config.on_reboot == Action::Restart);
    CHECK(config.on_crash == Action::Destroy);
    CHECK_FALSE(config.uuid);
    CHECK(config.warnings.empty());
}

TEST_CASE("every key has its meaning") {
    const auto config = good(
        "type='pvh'; uuid='59E1cf6c-6ab9-4879-90e7-adc8d1c63bf5'; ramdisk='/r'; root='/dev/xvda'; extra='ro "
        "quiet'\n"
        "memory=0x100; maxmem=256; vcpus=2; maxvcpus='4'; cpus='0-3,^1'; cpu_weight=512\n"
        "on_poweroff='preserve'; on_reboot='destroy'; on_crash='rename-restart'");
    CHECK(config.uuid->text() == "59e1cf6c-6ab9-4879-90e7-adc8d1c63bf5");
    CHECK(config.ramdisk == "/r");
    CHECK(config.command_line == "root=/dev/xvda ro quiet");
    CHECK(config.memory_mib == 256);
    CHECK(config.max_memory_mib == 256);
    CHECK(config.vcpus == 2);
    CHECK(config.max_vcpus == 4);
    REQUIRE(config.affinity.size() == 4);
    CHECK(config.affinity[3].text() == "0,2-3");
    CHECK(config.cpu_weight == 512);
    CHECK(config.on_poweroff == Action::Preserve);
    CHECK(config.on_reboot == Action::Destroy);
    CHECK(config.on_crash == Action::RenameRestart);
}

TEST_CASE("cmdline wins over root and extra, with a warning") {
    const auto config = good("cmdline='a b'; root='/dev/x'");
    CHECK(config.command_line == "a b");
    REQUIRE(config.warnings.size() == 1);
    CHECK(config.warnings[0] ==
          "web.cfg:2:9: cmdline: root= and extra= are ignored, because cmdline= is given.");
    CHECK(good("extra='x'").command_line == "x");
    CHECK(refusal("cmdline='" + std::string(2048, 'x') + "'") ==
          "the kernel command line has 2048 bytes; at most 2047 are possible.");
}

TEST_CASE("a maximum alone sets both") {
    CHECK(good("maxmem=300").memory_mib == 300);
    CHECK(good("maxvcpus=3").vcpus == 3);
}

TEST_CASE("per-vCPU pinning") {
    const auto config = good("maxvcpus=3; cpus=['2', '3-8,^5']");
    REQUIRE(config.affinity.size() == 3);
    CHECK(config.affinity[0].text() == "2");
    CHECK(config.affinity[1].text() == "3-4,6-8");
    CHECK(config.affinity[2].is_all());
    CHECK(good("cpus='all'").affinity.empty());
    CHECK(good("cpus='all,^7'").affinity[0].contains(8));
    CHECK(good("cpus=1").affinity[0].text() == "1");
    CHECK(good("cpus='^1, 0 - 2'").affinity[0].text() == "0,2");
    CHECK(refusal("cpus=['1','2']") == "web.cfg:2:6: cpus: the list has 2 entries for 1 vCPUs.");
    CHECK(refusal("cpus='1-'") ==
          "web.cfg:2:6: cpus: expected CPU numbers and ranges as in \"0-3,^1\", or \"all\", found '1-'.");
    CHECK(refusal("cpus=''") ==
          "web.cfg:2:6: cpus: expected CPU numbers and ranges as in \"0-3,^1\", or \"all\", found ''.");
    CHECK(refusal("cpus='3-1'") == "web.cfg:2:6: cpus: the CPU range '3-1' is empty or exceeds CPU 255.");
    CHECK(refusal("cpus='256'") == "web.cfg:2:6: cpus: the CPU range '256' is empty or exceeds CPU 255.");
    CHECK(refusal("cpus='1,^1'") == "web.cfg:2:6: cpus: the CPU list '1,^1' leaves no CPU to run on.");
    CHECK(refusal("cpus='node:0'") ==
          "web.cfg:2:6: cpus: 'node:0' names a NUMA node, and Bulkhead does not support those yet.");
    CHECK(refusal("cpus=[['1']]") ==
          "web.cfg:2:7: cpus: expected a CPU list as a string, found a list in the list.");
}

TEST_CASE("values out of range are refused") {
    CHECK(refusal("memory=15") == "web.cfg:2:8: memory: 15 MiB is out of range (16 to 1048576).");
    CHECK(refusal("memory=1048577") == "web.cfg:2:8: memory: 1048577 MiB is out of range (16 to 1048576).");
    CHECK(refusal("memory=0xffffffffffffffff") ==
          "web.cfg:2:8: memory: 0xffffffffffffffff MiB is out of range (16 to 1048576).");
    CHECK(refusal("memory='lots'") == "web.cfg:2:8: memory: expected a number, found 'lots'.");
    CHECK(refusal("memory=64; maxmem=32") == "web.cfg:2:19: maxmem: 32 MiB is less than memory=64.");
    CHECK(
        refusal("memory=64; maxmem=128") ==
        "web.cfg:2:19: maxmem: 128 MiB is more than memory=64, and Bulkhead cannot give a running guest more "
        "memory yet; give both the same value, or memory alone.");
    CHECK(refusal("vcpus=0") == "web.cfg:2:7: vcpus: 0 is out of range (1 to 16).");
    CHECK(refusal("vcpus=17") == "web.cfg:2:7: vcpus: 17 is out of range (1 to 16).");
    CHECK(refusal("vcpus=3; maxvcpus=2") == "web.cfg:2:19: maxvcpus: 2 is less than vcpus=3.");
    CHECK(refusal("cpu_weight=0") == "web.cfg:2:12: cpu_weight: 0 is out of range (1 to 65535).");
    CHECK(refusal("vcpus=[1]") == "web.cfg:2:7: vcpus: expected a string or a number, found a list.");
    CHECK(
        refusal("uuid='59e1cf6c'") ==
        "web.cfg:2:6: uuid: expected a UUID such as 59e1cf6c-6ab9-4879-90e7-adc8d1c63bf5, found '59e1cf6c'.");
    CHECK(refusal("on_crash='explode'") ==
          "web.cfg:2:10: on_crash: unknown action 'explode' (known: destroy, restart, rename-restart, "
          "preserve).");
    CHECK(refusal("on_crash='coredump-restart'") ==
          "web.cfg:2:10: on_crash: 'coredump-restart' is not supported by Bulkhead yet (supported: destroy, "
          "restart, rename-restart, preserve).");
}

TEST_CASE("names") {
    for (const char* name : {"a", "web-1.example_x+y", "0a"}) CHECK(valid_domain_name(name));
    CHECK(valid_domain_name(std::string(63, 'x')));
    for (const char* name : {"", "-a", "a b", "a/b", "12", "99999999999999999999999", "\xc3\xa4", "a\n"})
        CHECK_FALSE(valid_domain_name(name));
    CHECK_FALSE(valid_domain_name(std::string(64, 'x')));
    CHECK(refusal("name='4'").starts_with("web.cfg:2:6: name: '4' is not a domain name: "));
}

TEST_CASE("guest types") {
    CHECK(refusal("type='pv'") ==
          "web.cfg:2:6: type: Bulkhead does not support pv guests yet; use type=\"pvh\" with a PVH-capable "
          "kernel.");
    CHECK(refusal("type='hvm'") ==
          "web.cfg:2:6: type: Bulkhead does not support hvm guests yet; use type=\"pvh\" with a PVH-capable "
          "kernel.");
    CHECK(refusal("type='x'") == "web.cfg:2:6: type: unknown guest type 'x' (known: pvh, pv, hvm).");
    CHECK(refusal("builder='hvm'") ==
          "web.cfg:2:9: builder: \"hvm\" asks for an HVM guest, which Bulkhead does not support yet; use "
          "type=\"pvh\" instead of builder=.");
    CHECK(refusal("builder='generic'").find("asks for a PV guest") != std::string::npos);
    CHECK(refusal("builder='linux'").find("asks for a PV guest") != std::string::npos);
    CHECK(refusal("builder='x'") ==
          "web.cfg:2:9: builder: unknown builder 'x'; use type=\"pvh\" instead of builder=.");
    CHECK(good("type='pvh'; builder='generic'").warnings.size() == 1);
}

TEST_CASE("no key is accepted silently") {
    CHECK(refusal("vif=['bridge=x']") == "web.cfg:2:1: vif: this key is not supported by Bulkhead yet.");
    CHECK(refusal("memroy=3") == "web.cfg:2:1: memroy: unknown key (did you mean 'memory'?).");
    CHECK(refusal("frobnicate=3") == "web.cfg:2:1: frobnicate: unknown key.");
}

TEST_CASE("all problems are reported at once") {
    const auto config = parse("vif=[]\ndisk=[]\nmemory=1\n");
    REQUIRE_FALSE(config);
    REQUIRE(config.error().size() == 5);
    CHECK(config.error()[2].sentence == "the key 'name' is missing; every domain needs a name.");
    CHECK(config.error()[3].sentence ==
          "the key 'kernel' is missing; a PVH guest boots the kernel that it names.");
}

TEST_CASE("UUIDs") {
    CHECK_FALSE(Uuid::parse("59e1cf6c-6ab9-4879-90e7-adc8d1c63bf"));
    CHECK_FALSE(Uuid::parse("59e1cf6c-6ab9-4879-90e7_adc8d1c63bf5"));
    CHECK_FALSE(Uuid::parse("59e1cf6c-6ab9-4879-90e7-adc8d1c63bfg"));
    std::array<std::uint8_t, 16> ones;
    ones.fill(0xff);
    CHECK(Uuid::from_random(ones).text() == "ffffffff-ffff-4fff-bfff-ffffffffffff");
}
