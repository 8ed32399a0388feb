// SPDX-License-Identifier: Apache-2.0
#include "services/xenstore-stubdom/service.hpp"

#include <xen/io/xs_wire.h>

#include "test/unit/xenstore/harness.hpp"

using namespace bulkhead::xenstore;
using namespace bulkhead::xenstore::test;

static_assert(static_cast<int>(Op::directory) == XS_DIRECTORY);
static_assert(static_cast<int>(Op::watch_event) == XS_WATCH_EVENT);
static_assert(static_cast<int>(Op::set_target) == XS_SET_TARGET);
static_assert(static_cast<int>(Op::reset_watches) == XS_RESET_WATCHES);
static_assert(static_cast<int>(Op::directory_part) == XS_DIRECTORY_PART);
static_assert(kMaxPayload == XENSTORE_PAYLOAD_MAX);
static_assert(kMaxAbsolutePath == XENSTORE_ABS_PATH_MAX && kMaxRelativePath == XENSTORE_REL_PATH_MAX);

TEST_CASE("a written value is read back, byte by byte") {
    World w;
    CHECK(w.dom0.write("/a/b/c", "hello") == "OK|");
    CHECK(w.dom0.read("/a/b/c") == "hello");
    CHECK(w.dom0.read("/a/b") == "");
    CHECK(w.dom0.ask_raw(Op::write, "/bin\0"s + "x\0y\xff"s) == "OK|");
    CHECK(w.service.handle(w.dom0.session(), {Op::read, {}, "/bin\0"s, false}).payload == "x\0y\xff"s);
    CHECK(w.dom0.write("/a/b/c", "") == "OK|");
    CHECK(w.dom0.read("/a/b/c") == "");
    CHECK(w.dom0.read("/nothing") == "ENOENT");
}

TEST_CASE("relative paths are relative to the caller's home") {
    World w;
    w.homes();
    CHECK(w.one.write("data/x", "1") == "OK|");
    CHECK(w.dom0.read("/local/domain/1/data/x") == "1");
    CHECK(w.two.read("data/x") == "ENOENT");
    CHECK(w.two.read("/local/domain/1/data/x") == "EACCES");
    CHECK(w.two.ask(Op::get_domain_path, "77|") == "/local/domain/77|");
}

TEST_CASE("directories list children by name") {
    World w;
    for (const char* name : {"c", "a", "b"}) CHECK(w.dom0.write("/dir/"s + name, "") == "OK|");
    CHECK(w.dom0.ls("/dir") == "a|b|c|");
    CHECK(w.dom0.ls("/dir/a") == "");
    CHECK(w.dom0.ls("/none") == "ENOENT");
    CHECK(w.dom0.ls("/") == "dir|tool|");
}

TEST_CASE("DIRECTORY_PART goes through a list that is too long for one reply") {
    World w;
    std::string all;
    for (int i = 1000; i < 1900; ++i) {
        CHECK(w.dom0.write("/big/n" + std::to_string(i), "") == "OK|");
        all += "n" + std::to_string(i) + "|";
    }
    CHECK(w.dom0.ls("/big") == "E2BIG");
    std::string got, generation;
    int parts = 0;
    while (true) {
        const std::string part = w.dom0.ask(Op::directory_part, "/big|" + std::to_string(got.size()) + "|");
        const std::size_t bar = part.find('|');
        if (parts++ == 0) generation = part.substr(0, bar);
        CHECK(part.substr(0, bar) == generation);
        got += part.substr(bar + 1);
        if (got.size() >= 2 && got.substr(got.size() - 2) == "||") break;
    }
    got.pop_back();
    CHECK(got == all);
    CHECK(parts == 2);
    CHECK(w.dom0.write("/big/more", "") == "OK|");
    CHECK(w.dom0.ask(Op::directory_part, "/big|0|").substr(0, generation.size()) != generation);
    CHECK(w.dom0.ask(Op::directory_part, "/big|3|") == "EINVAL");
    CHECK(w.dom0.ask(Op::directory_part, "/big/more|0|").back() == '|');
    CHECK(w.dom0.ask(Op::directory_part, "/big|999999|").back() == '|');
}

TEST_CASE("MKDIR keeps what exists, RM wants the parent") {
    World w;
    CHECK(w.dom0.write("/a/b", "kept") == "OK|");
    CHECK(w.dom0.ask(Op::mkdir, "/a/b|") == "OK|");
    CHECK(w.dom0.read("/a/b") == "kept");
    CHECK(w.dom0.ask(Op::mkdir, "/a/x/y|") == "OK|");
    CHECK(w.dom0.rm("/a/none") == "OK|");
    CHECK(w.dom0.rm("/none/none") == "ENOENT");
    CHECK(w.dom0.rm("/a") == "OK|");
    CHECK(w.dom0.read("/a/b") == "ENOENT");
    CHECK(w.dom0.rm("/") == "EINVAL");
}

TEST_CASE("a guest has its own subtree and what it is given, nothing else") {
    World w;
    w.homes();
    CHECK(w.one.read("/") == "EACCES");
    CHECK(w.one.ls("/local/domain") == "EACCES");
    CHECK(w.one.write("/local/domain/2/x", "1") == "EACCES");
    CHECK(w.one.write("/vm/x", "1") == "EACCES");
    CHECK(w.one.rm("/local/domain/2") == "EACCES");
    CHECK(w.one.read("/local/domain/2/none") == "EACCES");  // whether it exists is not ours to know
    CHECK(w.dom0.write("/local/domain/1/ro", "dom0's") == "OK|");
    CHECK(w.dom0.ask(Op::get_perms, "/local/domain/1/ro|") == "n1|");  // inherited
    CHECK(w.dom0.ask(Op::set_perms, "/local/domain/1/ro|n0|r1|") == "OK|");
    CHECK(w.one.read("ro") == "dom0's");
    CHECK(w.one.write("ro", "mine") == "EACCES");
    CHECK(w.two.read("/local/domain/1/ro") == "EACCES");
}

TEST_CASE("permissions: letters, owner, default, and who may change them") {
    World w;
    w.homes();
    CHECK(w.one.write("shared", "v") == "OK|");
    CHECK(w.one.ask(Op::set_perms, "shared|n1|r2|") == "OK|");
    CHECK(w.one.ask(Op::get_perms, "shared|") == "n1|r2|");
    CHECK(w.two.read("/local/domain/1/shared") == "v");
    CHECK(w.two.write("/local/domain/1/shared", "x") == "EACCES");
    CHECK(w.one.ask(Op::set_perms, "shared|n1|w2|") == "OK|");
    CHECK(w.two.read("/local/domain/1/shared") == "EACCES");
    CHECK(w.two.write("/local/domain/1/shared", "x") == "OK|");
    CHECK(w.one.ask(Op::set_perms, "shared|b1|") == "OK|");
    CHECK(w.two.read("/local/domain/1/shared") == "x");
    CHECK(w.two.write("/local/domain/1/shared/child", "y") == "OK|");
    CHECK(w.one.ask(Op::get_perms, "shared/child|") == "b2|");  // who creates owns, the rest is inherited
}

TEST_CASE("SET_PERMS refuses what it should") {
    World w;
    w.homes();
    CHECK(w.one.write("x", "") == "OK|");
    CHECK(w.one.ask(Op::set_perms, "x|n2|") == "EPERM");
    CHECK(w.two.ask(Op::set_perms, "/local/domain/1/x|n2|") == "EACCES");
    CHECK(w.one.ask(Op::set_perms, "x|n1|b2|") == "OK|");
    CHECK(w.two.ask(Op::set_perms, "/local/domain/1/x|n2|") == "EACCES");
    for (const char* bad : {"x|", "x", "x|q1|", "x|n|", "x|n1|r", "x|n70000|", "x|n-1|", "x|n1x|"})
        CHECK(w.one.ask(Op::set_perms, bad) == "EINVAL");
    CHECK(w.one.ask(Op::set_perms, "x|n1|r2|r3|r4|r5|r6|") == "ENOSPC");
    CHECK(w.one.ask(Op::set_perms, "@releaseDomain|n0|r1|") == "EACCES");
    CHECK(w.dom0.ask(Op::set_perms, "@releaseDomain|n0|r1|") == "OK|");
    CHECK(w.dom0.ask(Op::get_perms, "@releaseDomain|") == "n0|r1|");
}

TEST_CASE("paths are checked") {
    World w;
    for (const std::string& bad : {""s, "/a/"s, "//"s, "/a//b"s, "/a b"s, "/a.b"s, "@introduceDomain"s, "/ü"s,
                                   "/" + std::string(3072, 'a'), std::string(2049, 'r')}) {
        CAPTURE(bad);
        CHECK(w.dom0.write(bad, "v") == "EINVAL");
        CHECK(w.dom0.read(bad) == "EINVAL");
        CHECK(w.dom0.ask(Op::mkdir, bad + "|") == "EINVAL");
        CHECK(w.dom0.rm(bad) == "EINVAL");
    }
    CHECK(w.dom0.write("/" + std::string(3071, 'a'), "v") == "OK|");
    CHECK(w.dom0.write(std::string(2048, 'r'), "v") == "OK|");
    CHECK(w.dom0.write("/azAZ09-_@/x", "v") == "OK|");
}

TEST_CASE("payloads without their NULs are EINVAL") {
    World w;
    for (const Op op :
         {Op::read, Op::directory, Op::get_perms, Op::mkdir, Op::rm, Op::write, Op::watch, Op::unwatch,
          Op::set_perms, Op::directory_part, Op::introduce, Op::release, Op::resume, Op::set_target,
          Op::get_domain_path, Op::is_domain_introduced, Op::transaction_end, Op::control}) {
        CHECK(w.dom0.ask_raw(op, "") == "EINVAL");
        CHECK(w.dom0.ask_raw(op, "/a") == "EINVAL");
    }
    CHECK(w.dom0.ask_raw(Op::read, "/tool\0x"s) == "EINVAL");
    CHECK(w.dom0.ask_raw(Op::read, "/tool\0\0"s) == "EINVAL");
}

TEST_CASE("operations that are not ours are ENOSYS, oversized ones E2BIG") {
    World w;
    for (const unsigned op : {15U, 16U, 20U, 23U, 24U, 0xffffU, 0xffffffffU})
        CHECK(w.one.ask_raw(Op{op}, "x") == "ENOSYS");
    CHECK(w.dom0.ask_raw(Op::write, "/a\0"s + std::string(4094, 'x')) == "E2BIG");
    CHECK(w.dom0.ask_raw(Op::write, "/a\0"s + std::string(4093, 'x')) == "OK|");
}

TEST_CASE("quotas are Xen's") {
    World w;
    w.homes();
    CHECK(w.one.write("v", std::string(2048, 'x')) == "OK|");
    CHECK(w.one.write("v", std::string(2049, 'x')) == "ENOSPC");
    CHECK(w.one.rm("v") == "OK|");
    std::size_t made = 0;
    while (w.one.write("n" + std::to_string(made), "") == "OK|") ++made;
    CHECK(made == 999);  // and its home
    CHECK(w.one.write("n" + std::to_string(made), "") == "ENOSPC");
    CHECK(w.one.write("n0", "still") == "OK|");
    CHECK(w.two.write("mine", "") == "OK|");
    CHECK(w.dom0.write("/local/domain/1/from-dom0", "") == "OK|");
    const TxId tx = w.one.begin();
    CHECK(w.one.write("more", "", tx) == "ENOSPC");
    CHECK(w.one.end(tx) == "OK|");
}

TEST_CASE("a guest's bytes are bounded, too") {
    Quota quota;
    quota.stored_bytes = 16 * 1024;
    World w(quota);
    w.homes();
    int made = 0;
    while (w.one.write("n" + std::to_string(made), std::string(2000, 'x')) == "OK|") ++made;
    CHECK(made == 7);
    CHECK(w.one.ask(Op::watch, std::string(2000, 'w') + "|" + std::string(500, 't') + "|") == "ENOSPC");
    CHECK(w.one.rm("n0") == "OK|");
    CHECK(w.one.write("n0", std::string(2000, 'x')) == "OK|");
}

TEST_CASE("domains: introduce, release, targets") {
    World w;
    w.homes();
    for (const Op op : {Op::introduce, Op::release, Op::resume, Op::set_target})
        CHECK(w.one.ask(op, "2|1|1|") == "EACCES");
    CHECK(w.one.ask(Op::is_domain_introduced, "1|") == "T|");
    CHECK(w.one.ask(Op::is_domain_introduced, "0|") == "T|");
    CHECK(w.one.ask(Op::is_domain_introduced, "9|") == "F|");
    for (const char* bad : {"0|1|1|", "32752|1|1|", "x|1|1|", "1|1|", "3|z|1|", "99999|1|1|"})
        CHECK(w.dom0.ask(Op::introduce, bad) == "EINVAL");
    CHECK(w.dom0.ask(Op::introduce, "3|-1|1|") == "OK|");
    CHECK(w.dom0.ask(Op::release, "9|") == "ENOENT");
    CHECK(w.dom0.ask(Op::resume, "9|") == "ENOENT");
    CHECK(w.dom0.ask(Op::resume, "1|") == "OK|");

    CHECK(w.two.read("/local/domain/1/none") == "EACCES");
    CHECK(w.dom0.ask(Op::set_target, "2|9|") == "ENOENT");
    CHECK(w.dom0.ask(Op::set_target, "2|1|") == "OK|");
    CHECK(w.two.write("/local/domain/1/device-model", "running") == "OK|");
    CHECK(w.dom0.ask(Op::release, "1|") == "OK|");
    CHECK(w.dom0.read("/local/domain/1") == "ENOENT");
    CHECK(w.dom0.write("/local/domain/1/again", "") == "OK|");
    CHECK(w.dom0.ask(Op::set_perms, "/local/domain/1|n1|") == "OK|");
    CHECK(w.two.read("/local/domain/1") == "EACCES");  // the target is not the next domain 1
}

TEST_CASE("a released domain leaves nothing to the next one with its id") {
    World w;
    w.homes();
    CHECK(w.two.write("for-one", "secret") == "OK|");
    CHECK(w.two.ask(Op::set_perms, "for-one|n2|r1|") == "OK|");
    CHECK(w.one.write("mine", "") == "OK|");
    CHECK(w.one.ask(Op::watch, "/local/domain/2/for-one|t|") == "OK|");
    w.one.begin();
    CHECK(w.dom0.ask(Op::release, "1|") == "OK|");
    CHECK(w.one.read("/local/domain/2/for-one") == "EACCES");
    CHECK(w.dom0.ask(Op::get_perms, "/local/domain/2/for-one|") == "n2|");
    CHECK(w.one.events().empty());
    CHECK(w.store.account(DomId{1}).idle());
}

TEST_CASE("CONTROL answers those who may ask") {
    World w;
    w.homes();
    CHECK(w.one.ask(Op::control, "check|") == "EACCES");
    CHECK(w.dom0.ask(Op::control, "check|") == "OK|");
    CHECK(w.dom0.ask(Op::control, "help|").find("quota") != std::string::npos);
    CHECK(w.dom0.ask(Op::control, "quota|").find("nodes: 1000\nwatches: 128\nnode-size: 2048\n") == 0);
    CHECK(w.dom0.ask(Op::control, "quota|1|").find("nodes: 1\n") == 0);
    CHECK(w.dom0.ask(Op::control, "quota|set|watches|1|") == "OK|");
    CHECK(w.one.ask(Op::watch, "a|t|") == "OK|");
    CHECK(w.one.ask(Op::watch, "b|t|") == "E2BIG");
    CHECK(w.dom0.ask(Op::control, "quota|set|nonsense|1|") == "EINVAL");
    CHECK(w.dom0.ask(Op::control, "quota|set|nodes|-1|") == "EINVAL");
    CHECK(w.dom0.ask(Op::control, "live-update|-s|") == "ENOSYS");
    CHECK(w.dom0.ask(Op::control, "frobnicate|") == "EINVAL");
}

TEST_CASE("the deepest possible tree is made, listed, watched and removed") {
    World w;
    std::string path;
    for (int i = 0; i < 1536; ++i) path += "/a";
    CHECK(w.dom0.write(path, "deep") == "OK|");
    CHECK(w.dom0.read(path) == "deep");
    CHECK(w.dom0.ask(Op::watch, path + "|t|") == "OK|");
    w.dom0.events();
    CHECK(w.dom0.rm("/a") == "OK|");
    CHECK(w.dom0.events() == Events{path + "|t|"});
}
