// SPDX-License-Identifier: Apache-2.0
#include "services/xenstore-stubdom/service.hpp"
#include "test/unit/xenstore/harness.hpp"

using namespace bulkhead::xenstore;
using namespace bulkhead::xenstore::test;

TEST_CASE("a watch fires at once, then for what is at and below its path") {
    World w;
    CHECK(w.dom0.ask(Op::watch, "/a|tok en|") == "OK|");
    CHECK(w.dom0.events() == Events{"/a|tok en|"});
    CHECK(w.dom0.write("/a/b/c", "1") == "OK|");
    CHECK(w.dom0.events() == Events{"/a/b/c|tok en|"});
    CHECK(w.dom0.write("/a", "1") == "OK|");
    CHECK(w.dom0.write("/ab", "1") == "OK|");
    CHECK(w.dom0.write("/", "1") == "OK|");
    CHECK(w.dom0.events() == Events{"/a|tok en|"});
    CHECK(w.dom0.ask(Op::mkdir, "/a/b|") == "OK|");
    CHECK(w.dom0.events().empty());
    CHECK(w.dom0.ask(Op::set_perms, "/a/b|n0|r1|") == "OK|");
    CHECK(w.dom0.rm("/a/none") == "OK|");
    CHECK(w.dom0.events() == Events{"/a/b|tok en|"});
    CHECK(w.dom0.ask(Op::unwatch, "/a|tok en|") == "OK|");
    CHECK(w.dom0.write("/a", "2") == "OK|");
    CHECK(w.dom0.events().empty());
}

TEST_CASE("a relative watch reports relative paths") {
    World w;
    w.homes();
    CHECK(w.one.ask(Op::watch, "device|t|") == "OK|");
    CHECK(w.one.ask(Op::watch, "/local/domain/1/device|abs|") == "OK|");
    CHECK(w.one.events() == Events{"device|t|", "/local/domain/1/device|abs|"});
    CHECK(w.dom0.write("/local/domain/1/device/vbd/0", "x") == "OK|");
    CHECK(w.one.events() == Events{"device/vbd/0|t|", "/local/domain/1/device/vbd/0|abs|"});
    CHECK(w.one.ask(Op::unwatch, "/local/domain/1/device|t|") == "OK|");
    CHECK(w.one.ask(Op::unwatch, "device|abs|") == "OK|");
}

TEST_CASE("removal of a parent fires the watches below with their own path") {
    World w;
    CHECK(w.dom0.write("/a/b/c", "") == "OK|");
    CHECK(w.dom0.ask(Op::watch, "/a/b/c|deep|") == "OK|");
    CHECK(w.dom0.ask(Op::watch, "/a/b/x|absent|") == "OK|");
    CHECK(w.dom0.ask(Op::watch, "/|root|") == "OK|");
    w.dom0.events();
    CHECK(w.dom0.rm("/a") == "OK|");
    CHECK(w.dom0.events() == Events{"/a|root|", "/a/b/c|deep|"});
}

TEST_CASE("watches: errors and quota") {
    World w;
    w.homes();
    CHECK(w.one.ask(Op::watch, "a|t|") == "OK|");
    CHECK(w.one.ask(Op::watch, "a|t|") == "EEXIST");
    CHECK(w.one.ask(Op::watch, "/local/domain/1/a|t|") == "EEXIST");
    CHECK(w.one.ask(Op::watch, "a|u|") == "OK|");
    CHECK(w.two.ask(Op::watch, "/local/domain/1/a|t|") == "OK|");
    CHECK(w.one.ask(Op::unwatch, "a|none|") == "ENOENT");
    CHECK(w.one.ask(Op::watch, "a b|t|") == "EINVAL");
    CHECK(w.one.ask(Op::watch, "a|" + std::string(1500, 't') + "|") == "E2BIG");
    int made = 2;
    while (w.one.ask(Op::watch, "w" + std::to_string(made) + "|t|") == "OK|") ++made;
    CHECK(made == 128);
    CHECK(w.one.ask(Op::watch, "z|t|") == "E2BIG");
    CHECK(w.one.ask(Op::reset_watches, "|") == "OK|");
    CHECK(w.one.events().empty());
    CHECK(w.one.ask(Op::watch, "z|t|") == "OK|");
}

TEST_CASE("a watcher hears nothing of what it may not read") {
    World w;
    w.homes();
    CHECK(w.two.ask(Op::watch, "/local/domain/1|spy|") == "OK|");
    CHECK(w.two.ask(Op::watch, "/|spy|") == "OK|");
    w.two.events();
    CHECK(w.one.write("secret", "1") == "OK|");
    CHECK(w.one.rm("secret") == "OK|");
    CHECK(w.two.events().empty());
    CHECK(w.one.write("public", "1") == "OK|");
    CHECK(w.one.ask(Op::set_perms, "public|n1|r2|") == "OK|");
    w.two.events();
    CHECK(w.one.write("public", "2") == "OK|");
    CHECK(w.two.events() == Events{"/local/domain/1/public|spy|", "/local/domain/1/public|spy|"});
    CHECK(w.one.rm("public") == "OK|");
    CHECK(w.two.events().size() == 2);
}

TEST_CASE("depth limits a watch") {
    World w;
    CHECK(w.dom0.ask(Op::watch, "/a|zero|0|") == "OK|");
    CHECK(w.dom0.ask(Op::watch, "/a|one|1|") == "OK|");
    CHECK(w.dom0.ask(Op::watch, "/a|bad|-1|") == "EINVAL");
    w.dom0.events();
    CHECK(w.dom0.write("/a", "") == "OK|");
    CHECK(w.dom0.write("/a/b", "") == "OK|");
    CHECK(w.dom0.write("/a/b/c", "") == "OK|");
    CHECK(w.dom0.events() == Events{"/a|zero|", "/a|one|", "/a/b|one|"});
}

TEST_CASE("special watches report domains to those who may know") {
    World w;
    CHECK(w.dom0.ask(Op::watch, "@introduceDomain|i|") == "OK|");
    CHECK(w.dom0.ask(Op::watch, "@releaseDomain|r|") == "OK|");
    CHECK(w.dom0.ask(Op::watch, "@releaseDomain|rd|1|") == "OK|");
    CHECK(w.dom0.ask(Op::watch, "@releaseDomain/2|r2|") == "OK|");
    CHECK(w.dom0.ask(Op::watch, "/|root|") == "OK|");
    CHECK(w.one.ask(Op::watch, "@introduceDomain|i|") == "OK|");
    CHECK(w.one.events() == Events{"@introduceDomain|i|"});
    w.dom0.events();
    w.homes();
    Events heard = w.dom0.events();
    std::erase_if(heard, [](const std::string& e) { return e.front() != '@'; });
    CHECK(heard.front() == "@introduceDomain|i|");
    CHECK(w.one.events().empty());
    CHECK(w.dom0.ask(Op::set_perms, "@introduceDomain|n0|r1|") == "OK|");
    CHECK(w.dom0.ask(Op::introduce, "3|1|1|") == "OK|");
    CHECK(w.one.events() == Events{"@introduceDomain|i|"});
    w.dom0.events();
    w.store.domain_stopped(DomId{2});
    CHECK(w.dom0.events() == Events{"@releaseDomain|r|", "@releaseDomain/2|rd|", "@releaseDomain/2|r2|"});
    w.store.domain_stopped(DomId{2});
    CHECK(w.dom0.events().empty());
    CHECK(w.dom0.ask(Op::resume, "2|") == "OK|");
    w.store.domain_stopped(DomId{2});
    CHECK(w.dom0.events().size() == 3);
    CHECK(w.dom0.ask(Op::release, "1|") == "OK|");
    heard = w.dom0.events();
    CHECK(heard[heard.size() - 2] == "@releaseDomain|r|");
    CHECK(heard[heard.size() - 1] == "@releaseDomain/1|rd|");
}

TEST_CASE("events that repeat the last pending one are merged") {
    World w;
    CHECK(w.dom0.ask(Op::watch, "/a|t|") == "OK|");
    for (int i = 0; i < 10; ++i) CHECK(w.dom0.write("/a/x", std::to_string(i)) == "OK|");
    CHECK(w.dom0.events() == Events{"/a|t|", "/a/x|t|"});
    CHECK(w.dom0.write("/a/x", "") == "OK|");
    CHECK(w.dom0.write("/a/y", "") == "OK|");
    CHECK(w.dom0.write("/a/x", "") == "OK|");
    CHECK(w.dom0.events() == Events{"/a/x|t|", "/a/y|t|", "/a/x|t|"});
}

TEST_CASE("a watcher that reads no events costs bounded memory and still learns that something happened") {
    World w;
    w.homes();
    for (int i = 0; i < 100; ++i) CHECK(w.one.ask(Op::watch, "a|" + std::to_string(i) + "|") == "OK|");
    for (int i = 0; i < 500; ++i) CHECK(w.one.write("a/" + std::to_string(i), "") == "OK|");
    const Events heard = w.one.events();
    CHECK(heard.size() == 256 + 100);
    for (int i = 0; i < 100; ++i)
        CHECK(heard[static_cast<std::size_t>(256 + i)] == "a|" + std::to_string(i) + "|");
    CHECK(w.one.write("a/new", "") == "OK|");
    CHECK(w.one.events().size() == 100);
}

TEST_CASE("removing a watch takes its pending events along") {
    World w;
    CHECK(w.dom0.ask(Op::watch, "/a|1|") == "OK|");
    CHECK(w.dom0.ask(Op::watch, "/a|2|") == "OK|");
    CHECK(w.dom0.write("/a", "") == "OK|");
    CHECK(w.dom0.ask(Op::unwatch, "/a|1|") == "OK|");
    CHECK(w.dom0.events() == Events{"/a|2|"});
    CHECK(w.store.take_ready() == &w.dom0.session());
    CHECK(w.store.take_ready() == nullptr);
    CHECK(w.dom0.write("/a", "") == "OK|");
    CHECK(w.store.take_ready() == &w.dom0.session());
    w.store.detach(w.dom0.session());
    CHECK(w.store.take_ready() == nullptr);
}
