// SPDX-License-Identifier: Apache-2.0
#include "boot/config/config.hpp"

#include <catch2/catch.hpp>
#include <string>

using namespace bulkhead::boot;

namespace {
std::string error_of(std::string_view text, std::string_view section = {}) {
    const auto result = parse_config(text, section);
    if (result.ok) return "";
    return std::to_string(result.error.line) + ": " + result.error.message +
           (result.error.word.empty() ? "" : " " + std::string{result.error.word});
}
constexpr std::string_view kGood =
    "# comment\r\n[global]\r\ndefault=b\n\n[a]\nkernel=one.elf\n[b]\noptions=console=com1 loglvl=all\n "
    "kernel = two.elf  x=1 y \nmodule=m.dtb manifest\nmodule=fs.cpio bootfs\nramdisk=r\n";
}  // namespace

TEST_CASE("bulkhead.cfg: the default section is taken, keys and arguments are split") {
    const auto result = parse_config(kGood, {});
    REQUIRE(result.ok);
    CHECK(result.config.section == "b");
    CHECK(result.config.options.file == "console=com1 loglvl=all");
    CHECK(result.config.kernel.file == "two.elf");
    CHECK(result.config.kernel.arguments == "x=1 y");
    CHECK(result.config.kernel.line == 9);
    REQUIRE(result.config.modules == 2);
    CHECK(result.config.module[1].file == "fs.cpio");
    CHECK(result.config.module[1].arguments == "bootfs");
    CHECK(result.config.ramdisk.file == "r");
}

TEST_CASE("bulkhead.cfg: a section can be named") {
    CHECK(parse_config(kGood, "a").config.kernel.file == "one.elf");
    CHECK(parse_config(kGood, "a").config.options.file.empty());
}

TEST_CASE("bulkhead.cfg: the example of Xen's EFI documentation") {
    // docs/misc/efi of Xen: a default section, and one with kernel arguments and a ramdisk.
    constexpr std::string_view kXen =
        "[global]\ndefault=sle11sp2\n\n[sle11sp2]\n"
        "options=console=vga,com1 com1=57600 loglvl=all noreboot\n"
        "kernel=vmlinuz-3.0.31-0.4-xen [domain 0 command line options]\nramdisk=initrd-3.0.31-0.4-xen\n";
    const auto result = parse_config(kXen, {});
    REQUIRE(result.ok);
    CHECK(result.config.section == "sle11sp2");
    CHECK(result.config.options.file == "console=vga,com1 com1=57600 loglvl=all noreboot");
    CHECK(result.config.kernel.file == "vmlinuz-3.0.31-0.4-xen");
    CHECK(result.config.kernel.arguments == "[domain 0 command line options]");
    CHECK(result.config.ramdisk.file == "initrd-3.0.31-0.4-xen");
    CHECK(result.config.modules == 0);
}

TEST_CASE("bulkhead.cfg: the other keys that Xen documents") {
    const auto result = parse_config(
        "[global]\ndefault=xen\n[xen]\noptions=<Xen command line>\nkernel=vmlinuz\n"
        "dtb=board.dtb\nucode=ucode.bin\nvideo=gfx-1024x768x32\n",
        {});
    REQUIRE(result.ok);
    CHECK(result.config.dtb.file == "board.dtb");
    CHECK(result.config.ucode.file == "ucode.bin");
    CHECK(result.config.ucode.line == 7);
    CHECK(result.config.video.file == "gfx-1024x768x32");
}

TEST_CASE("bulkhead.cfg: a xen.cfg such as wikis show for an installed distribution") {
    constexpr std::string_view kWiki =
        "# Two ways to boot\n[global]\ndefault=xen\n\n"
        "[xen]\noptions=console=vga iommu=force:true,qinval:true,debug:true loglvl=all noreboot=true "
        "reboot=no vga=ask ucode=scan\n"
        "kernel=vmlinuz-linux root=UUID=a1b2c3d4-0000-1111-2222-333344445555 rw add_efi_memmap "
        "#earlyprintk=xen\n"
        "ramdisk=initramfs-linux.img\n\n"
        "[fallback]\n; with every driver\noptions=console=vga\nkernel=vmlinuz-linux root=/dev/sda2 ro\n"
        "ramdisk=initramfs-linux-fallback.img\n";
    const auto normal = parse_config(kWiki, {}), fallback = parse_config(kWiki, "fallback");
    REQUIRE(normal.ok);
    CHECK(normal.config.kernel.arguments ==
          "root=UUID=a1b2c3d4-0000-1111-2222-333344445555 rw add_efi_memmap");
    CHECK(normal.config.ramdisk.file == "initramfs-linux.img");
    REQUIRE(fallback.ok);
    CHECK(fallback.config.kernel.arguments == "root=/dev/sda2 ro");
    CHECK(fallback.config.ramdisk.file == "initramfs-linux-fallback.img");
}

TEST_CASE("bulkhead.cfg: without default= headers do not count, and the first of each key is used") {
    const auto result = parse_config(
        "[one]\noptions=a\nmodule=m0\n[two]\noptions=b\nkernel=k2\nmodule=m2\n[three]\nkernel=k3\nramdisk="
        "r3\nmodule=m3\n",
        {});
    REQUIRE(result.ok);
    CHECK(result.config.section.empty());
    CHECK(result.config.options.file == "a");
    CHECK(result.config.kernel.file == "k2");
    CHECK(result.config.ramdisk.file == "r3");
    REQUIRE(result.config.modules == 1);
    CHECK(result.config.module[0].file == "m2");
    const auto bare = parse_config("kernel=k\nmodule=m n\n", {});
    REQUIRE(bare.ok);
    CHECK(bare.config.kernel.file == "k");
    CHECK(bare.config.module[0].arguments == "n");
    CHECK(parse_config("[a]\nmodule=m\n[b]\nmodule=n\n", {}, true).config.modules == 2);
}

TEST_CASE("bulkhead.cfg: what stands in [global] is for sections that do not say otherwise") {
    constexpr std::string_view kText =
        "[a]\nkernel=k\noptions=mine\n[b]\nkernel=k\n[global]\noptions=all\nucode=u\ndtb=d\nvideo=gfx-800\n";
    CHECK(parse_config(kText, "a").config.options.file == "mine");
    CHECK(parse_config(kText, "a").config.ucode.file == "u");
    CHECK(parse_config(kText, "b").config.options.file == "all");
    CHECK(parse_config(kText, "b").config.dtb.file == "d");
    CHECK(parse_config(kText, "b").config.video.line == 10);
    CHECK(parse_config("[global]\noptions=all\n[a]\noptions=\nkernel=k\n", "a").config.options.file.empty());
}

TEST_CASE(
    "bulkhead.cfg: chain= is followed when the section or its kernel is missing, and not after a mistake") {
    constexpr std::string_view kText =
        "[global]\nchain=other.cfg\ndefault=q\n[a]\noptions=x\n[b]\nkernel=k\n";
    CHECK(parse_config(kText, {}).chain == "other.cfg");
    CHECK(parse_config(kText, {}).config.section == "q");
    CHECK(parse_config(kText, "a").chain == "other.cfg");
    CHECK(parse_config(kText, "b").ok);
    CHECK(parse_config("[global]\nchain=o\n[a]\nkernle=k\n", "a").chain.empty());
    CHECK(parse_config("[a]\nkernel=k\n", "b").chain.empty());
}

TEST_CASE("bulkhead.cfg: the kernel may be inside the image") {
    CHECK(parse_config("[a]\noptions=x\n", "a", true).ok);
    CHECK_FALSE(parse_config("[a]\noptions=x\n", "b", true).ok);
}

TEST_CASE("bulkhead.cfg: every mistake has a line and says what was expected") {
    CHECK(error_of("") == "0: there is no kernel= line");
    CHECK(error_of(kGood, "zz") == "0: there is no section named zz");
    CHECK(error_of("[global]\ndefault=q\n[a]\nkernel=k") == "0: there is no section named q");
    CHECK(error_of("kernel=k\n[a]\n", "a") == "1: a setting stands before the first [section]: kernel");
    CHECK(error_of("[a]\nkernel=k\nhello\n") == "3: expected [section], key=value or a comment, found hello");
    CHECK(error_of("[a]\nkernle=k") ==
          "2: unknown key (known: options, kernel, ramdisk, module, ucode, video, dtb): kernle");
    CHECK(error_of("[a]\nkernel=") == "2: a file name is missing after kernel");
    CHECK(error_of("[a]\nkernel=k\nkernel=l", "a") == "3: the key appears twice in its section: kernel");
    CHECK(error_of("[a]\nkernel=k\n[a]\n", "a") == "3: the section appears twice: a");
    CHECK(error_of("[a]\noptions=x", "a") == "0: the section has no kernel= line: a");
    CHECK(error_of("[global]\nfoo=1\n[a]\nkernel=k") ==
          "2: unknown key in [global] (known: default, chain, options, ucode, video, dtb): foo");
    CHECK(error_of("\xef\xbb\xbf[a]\nkernel=k").find("byte-order mark") != std::string::npos);
    CHECK(error_of(std::string_view("\xff\xfe[\0a\0", 6)).find("UTF-16") != std::string::npos);
    CHECK(error_of("[a]\nkernel=k\xc3\xa4") ==
          "2: the file must be plain ASCII (not UTF-8, not UTF-16); there is another character");
    CHECK(error_of("[a").find("1: expected") == 0);
    CHECK(error_of("[]").find("1: expected") == 0);
    CHECK(error_of("[a]\nkernel=k\nramdisk=r s") == "3: there is more than one file name: s");
    CHECK(error_of("[a]\nkernel=k\nxsm=policy").find("3: xsm= has no meaning here") == 0);
    CHECK(error_of("[global]\nchain=\n[a]\nkernel=k") == "2: a file name is missing after chain");
    CHECK(error_of(std::string_view("[\0a\0]\0", 6)).find("plain ASCII") != std::string::npos);
    std::string many = "[a]\nkernel=k\n";
    for (int i = 0; i < 15; i++) many += "module=m\n";
    CHECK(error_of(many) == "16: there are more than 13 module= lines");
    CHECK(error_of(std::string(kMaxConfigBytes + 1, ' ')) == "0: the file is larger than 64 KiB");
}

TEST_CASE("bulkhead.cfg: a file cut anywhere is parsed or refused, never read beyond its end") {
    for (size_t length = 0; length < kGood.size(); length++) {
        const std::string cut{kGood.data(), length};
        (void)parse_config(cut, {});
    }
}
