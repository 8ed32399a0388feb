// SPDX-License-Identifier: Apache-2.0
#include "services/xenstore-stubdom/service.hpp"
#include "test/unit/xenstore/harness.hpp"

using namespace bulkhead::xenstore;
using namespace bulkhead::xenstore::test;

TEST_CASE("a transaction is seen by itself first and by all at its end") {
    World w;
    CHECK(w.dom0.write("/a", "old") == "OK|");
    CHECK(w.dom0.ask(Op::watch, "/|t|") == "OK|");
    w.dom0.events();
    const TxId tx = w.dom0.begin();
    CHECK(w.dom0.write("/a", "new", tx) == "OK|");
    CHECK(w.dom0.write("/b/c", "made", tx) == "OK|");
    CHECK(w.dom0.ask(Op::set_perms, "/b|n0|r1|", tx) == "OK|");
    CHECK(w.dom0.read("/a", tx) == "new");
    CHECK(w.dom0.read("/a") == "old");
    CHECK(w.dom0.read("/b/c") == "ENOENT");
    CHECK(w.dom0.ls("/", tx) == "a|b|tool|");
    CHECK(w.dom0.ls("/") == "a|tool|");
    CHECK(w.dom0.ask(Op::get_perms, "/b|", tx) == "n0|r1|");
    CHECK(w.dom0.events().empty());
    CHECK(w.dom0.end(tx) == "OK|");
    CHECK(w.dom0.read("/b/c") == "made");
    CHECK(w.dom0.ask(Op::get_perms, "/b|") == "n0|r1|");
    CHECK(w.dom0.events() == Events{"/a|t|", "/b/c|t|", "/b|t|"});
    CHECK(w.dom0.end(tx) == "ENOENT");
}

TEST_CASE("an abandoned transaction changes nothing, even after a conflict") {
    World w;
    CHECK(w.dom0.ask(Op::watch, "/|t|") == "OK|");
    const TxId tx = w.dom0.begin();
    CHECK(w.dom0.write("/a", "1", tx) == "OK|");
    CHECK(w.dom0.write("/a", "2") == "OK|");
    w.dom0.events();
    CHECK(w.dom0.end(tx, "F|") == "OK|");
    CHECK(w.dom0.read("/a") == "2");
    CHECK(w.dom0.events().empty());
}

TEST_CASE("conflicts are EAGAIN at the end, and only conflicts are") {
    World w;
    for (const char* path : {"/a/x", "/a/y", "/b"}) CHECK(w.dom0.write(path, "0") == "OK|");
    const auto run = [&](auto&& inside, auto&& outside) {
        const TxId tx = w.dom0.begin();
        inside(tx);
        outside();
        return w.dom0.end(tx);
    };
    const auto write_x = [&] { CHECK(w.dom0.write("/a/x", "out") == "OK|"); };
    const auto create_z = [&] { CHECK(w.dom0.write("/a/z", "out") == "OK|"); };
    const auto remove_a = [&] { CHECK(w.dom0.rm("/a") == "OK|"); };

    CHECK(run([&](TxId t) { w.dom0.read("/a/x", t); }, write_x) == "EAGAIN");
    CHECK(run([&](TxId t) { w.dom0.write("/a/x", "in", t); }, write_x) == "EAGAIN");
    CHECK(w.dom0.read("/a/x") == "out");
    CHECK(run([&](TxId t) { w.dom0.read("/a/y", t); }, write_x) == "OK|");
    CHECK(run([&](TxId t) { w.dom0.read("/a", t); }, write_x) == "OK|");
    CHECK(run([&](TxId t) { w.dom0.rm("/a", t); }, write_x) == "EAGAIN");
    CHECK(run([&](TxId t) { w.dom0.read("/a/z", t); }, create_z) == "EAGAIN");
    CHECK(w.dom0.rm("/a/z") == "OK|");
    CHECK(run([&](TxId t) { w.dom0.ls("/a", t); }, create_z) == "EAGAIN");
    CHECK(w.dom0.rm("/a/z") == "OK|");
    CHECK(run([&](TxId t) { w.dom0.write("/a/q", "in", t); }, create_z) == "OK|");
    CHECK(w.dom0.ls("/a") == "q|x|y|z|");
    CHECK(run([&](TxId t) { w.dom0.write("/a/new/deep", "in", t); },
              [&] { CHECK(w.dom0.write("/a/new", "") == "OK|"); }) == "EAGAIN");
    CHECK(run([&](TxId t) { w.dom0.read("/a/x", t); },
              [&] { CHECK(w.dom0.ask(Op::set_perms, "/a/x|n0|") == "OK|"); }) == "EAGAIN");
    CHECK(run([&](TxId t) { w.dom0.write("/a/x", "in", t); }, remove_a) == "EAGAIN");
    CHECK(w.dom0.read("/a") == "ENOENT");
    CHECK(run([&](TxId t) { w.dom0.read("/b", t); },
              [&] {
                  CHECK(w.dom0.rm("/b") == "OK|");
                  CHECK(w.dom0.write("/b", "0") == "OK|");
              }) == "EAGAIN");
}

TEST_CASE("two clients' transactions that touch different nodes both commit") {
    World w;
    w.homes();
    const TxId a = w.one.begin();
    const TxId b = w.two.begin();
    CHECK(w.one.write("x", "1", a) == "OK|");
    CHECK(w.two.write("x", "2", b) == "OK|");
    CHECK(w.two.end(b) == "OK|");
    CHECK(w.one.end(a) == "OK|");
    CHECK(w.one.read("x") == "1");
    CHECK(w.two.read("x") == "2");
    const TxId c = w.one.begin();
    CHECK(w.two.read("x", c) == "ENOENT");  // a transaction is its session's
    CHECK(w.two.end(c) == "ENOENT");
    CHECK(w.one.end(c) == "OK|");
}

TEST_CASE("removal inside a transaction hides what is below, and what is made again is new") {
    World w;
    for (const char* path : {"/d/a/1", "/d/b"}) CHECK(w.dom0.write(path, "old") == "OK|");
    CHECK(w.dom0.ask(Op::watch, "/d/a/1|deep|") == "OK|");
    w.dom0.events();
    const TxId tx = w.dom0.begin();
    CHECK(w.dom0.rm("/d", tx) == "OK|");
    CHECK(w.dom0.read("/d/b", tx) == "ENOENT");
    CHECK(w.dom0.rm("/d/a/1", tx) == "ENOENT");
    CHECK(w.dom0.write("/d/c", "new", tx) == "OK|");
    CHECK(w.dom0.ls("/d", tx) == "c|");
    CHECK(w.dom0.read("/d/a", tx) == "ENOENT");
    CHECK(w.dom0.ls("/d") == "a|b|");
    CHECK(w.dom0.end(tx) == "OK|");
    CHECK(w.dom0.ls("/d") == "c|");
    CHECK(w.dom0.events() == Events{"/d/a/1|deep|"});
    const TxId again = w.dom0.begin();
    CHECK(w.dom0.write("/t/u", "x", again) == "OK|");
    CHECK(w.dom0.rm("/t", again) == "OK|");
    CHECK(w.dom0.rm("/d", again) == "OK|");
    CHECK(w.dom0.end(again) == "OK|");
    CHECK(w.dom0.ls("/") == "tool|");
}

TEST_CASE("permissions hold inside a transaction") {
    World w;
    w.homes();
    const TxId tx = w.one.begin();
    CHECK(w.one.write("/local/domain/2/x", "1", tx) == "EACCES");
    CHECK(w.one.read("/local/domain/2", tx) == "EACCES");
    CHECK(w.one.write("x", "1", tx) == "OK|");
    CHECK(w.one.ask(Op::set_perms, "x|n2|", tx) == "EPERM");
    CHECK(w.one.ask(Op::get_perms, "x|", tx) == "n1|");
    CHECK(w.one.ask(Op::mkdir, "dir/sub|", tx) == "OK|");
    CHECK(w.one.end(tx) == "OK|");
    CHECK(w.one.ls("") == "EINVAL");
    CHECK(w.one.ls("/local/domain/1") == "dir|x|");
}

TEST_CASE("transactions: errors and quota") {
    World w;
    w.homes();
    CHECK(w.one.read("x", TxId{77}) == "ENOENT");
    CHECK(w.one.end(kNoTransaction) == "ENOENT");
    const TxId tx = w.one.begin();
    CHECK(w.one.ask(Op::transaction_start, "|", tx) == "EBUSY");
    CHECK(w.one.end(tx, "X|") == "EINVAL");
    CHECK(w.one.end(tx, "T") == "EINVAL");
    for (int i = 0; i < 9; ++i) w.one.begin();
    CHECK(w.one.ask(Op::transaction_start, "|") == "ENOSPC");
    CHECK(w.one.end(tx, "F|") == "OK|");
    w.one.begin();
    CHECK(w.one.ask(Op::reset_watches, "") == "OK|");
    CHECK(w.store.account(DomId{1}).transactions == 0);
}

TEST_CASE("an open transaction cannot grow without bound") {
    World w;
    w.homes();
    const TxId tx = w.one.begin();
    int i = 0;
    while (i < 5000 && w.one.read("r" + std::to_string(i), tx) == "ENOENT") ++i;
    CHECK(i < 1024);
    CHECK(w.one.end(tx, "F|") == "OK|");
    CHECK(w.store.account(DomId{1}).transaction_bytes == 0);
    const TxId fat = w.one.begin();
    i = 0;
    while (i < 5000 && w.one.write("x", std::string(2048, 'x'), fat) == "OK|") ++i;
    CHECK(i < 200);
    CHECK(w.one.end(fat, "F|") == "OK|");
}

TEST_CASE("quotas are counted again at the end") {
    Quota quota;
    quota.nodes = 5;
    World w(quota);
    w.homes();
    const TxId a = w.one.begin();
    const TxId b = w.one.begin();
    for (const char* name : {"1", "2", "3"}) {
        CHECK(w.one.write("a"s + name, "", a) == "OK|");
        CHECK(w.one.write("b"s + name, "", b) == "OK|");
    }
    CHECK(w.one.end(a) == "OK|");
    CHECK(w.one.end(b) == "ENOSPC");
    CHECK(w.one.ls("/local/domain/1") == "a1|a2|a3|");
    const TxId c = w.one.begin();
    CHECK(w.one.rm("a1", c) == "OK|");
    CHECK(w.one.rm("a2", c) == "OK|");
    CHECK(w.one.write("c1", "", c) == "OK|");
    CHECK(w.one.end(c) == "OK|");
}
