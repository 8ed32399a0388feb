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
    CHECK(result.config.options == "console=com1 loglvl=all");
    CHECK(result.config.kernel.file == "two.elf");
    CHECK(result.config.kernel.arguments == "x=1 y");
    CHECK(result.config.kernel.line == 9);
    REQUIRE(result.config.modules == 2);
    CHECK(result.config.module[1].file == "fs.cpio");
    CHECK(result.config.module[1].arguments == "bootfs");
    CHECK(result.config.ramdisk.file == "r");
}

TEST_CASE("bulkhead.cfg: a section can be named; without default the first one is taken") {
    CHECK(parse_config(kGood, "a").config.kernel.file == "one.elf");
    CHECK(parse_config("[x]\nkernel=k\n[y]\nkernel=l", {}).config.kernel.file == "k");
}

TEST_CASE("bulkhead.cfg: every mistake has a line and says what was expected") {
    CHECK(error_of("").find("no section besides") != std::string::npos);
    CHECK(error_of(kGood, "zz") == "0: there is no section named zz");
    CHECK(error_of("[global]\ndefault=q\n[a]\nkernel=k") == "0: there is no section named q");
    CHECK(error_of("kernel=k") == "1: a setting stands before the first [section]: kernel");
    CHECK(error_of("[a]\nkernel=k\nhello\n") == "3: expected [section], key=value or a comment, found hello");
    CHECK(error_of("[a]\nkernle=k") == "2: unknown key (known: options, kernel, ramdisk, module): kernle");
    CHECK(error_of("[a]\nkernel=") == "2: a file name is missing after kernel");
    CHECK(error_of("[a]\nkernel=k\nkernel=l") == "3: the key appears twice in its section: kernel");
    CHECK(error_of("[a]\nkernel=k\n[a]\n") == "3: the section appears twice: a");
    CHECK(error_of("[a]\noptions=x") == "0: the section has no kernel= line: a");
    CHECK(error_of("[global]\nfoo=1\n[a]\nkernel=k") == "2: unknown key in [global] (known: default): foo");
    CHECK(error_of("\xef\xbb\xbf[a]\nkernel=k").find("byte-order mark") != std::string::npos);
    CHECK(error_of(std::string_view("\xff\xfe[\0a\0", 6)).find("UTF-16") != std::string::npos);
    CHECK(error_of("[a]\nkernel=k\xc3\xa4") == "2: the file must be plain ASCII; there is another character");
    CHECK(error_of("[a").find("1: expected") == 0);
    std::string many = "[a]\nkernel=k\n";
    for (int i = 0; i < 15; i++) many += "module=m\n";
    CHECK(error_of(many) == "17: there are more than 14 module= lines");
    CHECK(error_of(std::string(kMaxConfigBytes + 1, ' ')) == "0: the file is larger than 64 KiB");
}

TEST_CASE("bulkhead.cfg: a file cut anywhere is parsed or refused, never read beyond its end") {
    for (size_t length = 0; length < kGood.size(); length++) {
        const std::string cut{kGood.data(), length};
        (void)parse_config(cut, {});
    }
}
