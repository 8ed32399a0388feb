// SPDX-License-Identifier: Apache-2.0
#include "toolstack/xl/xenstore_tools.hpp"

#include <catch2/catch.hpp>

#include "test/unit/xl/fake_backend.hpp"

using namespace bulkhead::xl;

namespace {

struct Machine {
    FakeBackend backend;
    FakeTerminal terminal;
    Console console{terminal};
    Context context{backend, console};

    Machine() {
        for (const auto& [path, value] : std::map<std::string, std::string>{
                 {"/local/domain/0/name", "Domain-0"}, {"/local/domain/4/name", "debian"}, {"/tool", ""}}) {
            static_cast<void>(backend.store.write(kNoTransaction, path, value));
        }
    }

    std::string run(const std::vector<std::string>& words, int wanted_status = 0) {
        terminal.output.clear();
        const int status = run_xenstore_tool(context, words);
        std::string text;
        for (const char c : terminal.output) {
            if (c != '\r') text += c;
        }
        INFO(text);
        CHECK(status == wanted_status);
        return text;
    }
};

}  // namespace

TEST_CASE("xenstore-ls shows the tree") {
    Machine m;
    CHECK(m.run({"xenstore-ls"}) ==
          "local = \"\"\n domain = \"\"\n  0 = \"\"\n   name = \"Domain-0\"\n  4 = \"\"\n   name = "
          "\"debian\"\ntool = \"\"\n");
    CHECK(m.run({"xenstore", "ls", "-f", "/local/domain/4"}) == "/local/domain/4/name = \"debian\"\n");
    CHECK(m.run({"xenstore-ls", "-p", "/local/domain/4/"}) == "name = \"debian\"   (n0)\n");
    CHECK(m.run({"xenstore-ls", "/none"}, 1) == "xenstore-ls: /none: No such file or directory\n");
    CHECK(m.run({"xenstore-ls", "-s"}, 1)
              .starts_with(
                  "xenstore-ls: the option '-s' is not supported by Bulkhead yet.\nUsage: xenstore-ls "));
}

TEST_CASE("xenstore-read escapes what it shows") {
    Machine m;
    CHECK(m.run({"xenstore-read", "/local/domain/4/name"}) == "debian\n");
    CHECK(m.run({"xenstore-read", "-p", "/local/domain/4/name"}) == "/local/domain/4/name: debian\n");
    CHECK(m.run({"xenstore-read", "name"}) == "Domain-0\n");
    m.backend.store.nodes["/tool"].value = "a\x1b[2J\n\\";
    CHECK(m.run({"xenstore-read", "/tool"}) == "a\\x1b[2J\\n\\\\\n");
    CHECK(m.run({"xenstore-read", "-R", "/tool"}) == "a\x1b[2J\n\\\n");
    CHECK(m.run({"xenstore-read", "/none"}, 1) ==
          "xenstore-read: couldn't read path /none: No such file or directory\n");
    CHECK(m.run({"xenstore-read"}, 1) == "Usage: xenstore-read [-h] [-p] [-R] key [...]\n");
}

TEST_CASE("xenstore-write writes all pairs in one transaction") {
    Machine m;
    m.backend.store.conflicts = 2;
    CHECK(m.run({"xenstore-write", "/a/b", "x\\x41", "/c", ""}).empty());
    CHECK(m.backend.store.nodes["/a/b"].value == "xA");
    CHECK(m.backend.store.nodes.contains("/c"));
    CHECK(m.backend.store.commits == 1);
    m.run({"xenstore-write", "-R", "/a/b", "x\\x41"});
    CHECK(m.backend.store.nodes["/a/b"].value == "x\\x41");
    CHECK(m.run({"xenstore-write", "/a", "1", "/b"}, 1) ==
          "xenstore-write: expected a value after the key /b.\n");
    CHECK(m.run({"xenstore-write", "/a", "\\q"}, 1)
              .starts_with("xenstore-write: '\\q' has a malformed escape"));
    CHECK(m.run({"xenstore-write", "/d", "1", "@x", "2"}, 1) ==
          "xenstore-write: could not write path @x: Invalid argument\n");
    CHECK_FALSE(m.backend.store.nodes.contains("/d"));
    CHECK(m.backend.store.aborts == 1);
    m.backend.store.conflicts = 1000;
    CHECK(m.run({"xenstore-write", "/a", "1"}, 1) ==
          "xenstore-write: 100 attempts lost against other writers; nothing was changed.\n");
}

TEST_CASE("xenstore-list, -exists, -rm") {
    Machine m;
    CHECK(m.run({"xenstore-list", "/local/domain"}) == "0\n4\n");
    CHECK(m.run({"xenstore-list", "-p", "/local/domain"}) == "/local/domain/0\n/local/domain/4\n");
    CHECK(m.run({"xenstore-list", "/none"}, 1) ==
          "xenstore-list: could not list path /none: No such file or directory\n");
    CHECK(m.run({"xenstore-exists", "/tool"}).empty());
    CHECK(m.run({"xenstore-exists", "/tool", "/none"}, 1).empty());
    CHECK(m.run({"xenstore-rm", "/none"}, 1) ==
          "xenstore-rm: could not remove path /none: No such file or directory\n");
    m.run({"xenstore-rm", "-t", "/local/domain/4/name"});
    CHECK_FALSE(m.backend.store.nodes.contains("/local/domain/4"));
    CHECK(m.backend.store.nodes.contains("/local/domain/0/name"));
    m.run({"xenstore-rm", "/local"});
    CHECK(m.run({"xenstore-list", "/"}) == "tool\n");
}

TEST_CASE("xenstore-chmod") {
    Machine m;
    using Permissions = std::vector<NodePermission>;
    m.run({"xenstore-chmod", "-r", "/local/domain/4", "n4", "r0"});
    const Permissions wanted{{NodeAccess::None, 4}, {NodeAccess::Read, 0}};
    CHECK(m.backend.store.nodes["/local/domain/4"].permissions == wanted);
    CHECK(m.backend.store.nodes["/local/domain/4/name"].permissions == wanted);
    CHECK(m.backend.store.nodes["/local/domain"].permissions != wanted);
    m.run({"xenstore-chmod", "-u", "/local/domain/0", "b7"});
    CHECK(m.backend.store.nodes["/local"].permissions == Permissions{{NodeAccess::Both, 7}});
    CHECK(m.run({"xenstore-chmod", "/tool", "x4"}, 1) ==
          "xenstore-chmod: expected one of r w b n and a domain ID, as in 'r4', found 'x4'.\n");
    CHECK(m.run({"xenstore-chmod", "/none", "n0"}, 1) ==
          "xenstore-chmod: /none: No such file or directory\n");
}

TEST_CASE("xenstore-watch prints events and cleans up") {
    Machine m;
    m.backend.store.events = {"/tool/x", "/tool/y", "/tool/z"};
    CHECK(m.run({"xenstore-watch", "-n", "3", "/tool"}) == "/tool\n/tool/x\n/tool/y\n");
    CHECK(m.backend.store.watches.empty());
    m.backend.store.events.clear();
    m.terminal.input = "\x03";
    CHECK(m.run({"xenstore-watch", "/tool"}, 130) == "/tool\n");
    CHECK(m.backend.store.watches.empty());
    CHECK(m.run({"xenstore-watch", "-n", "x", "/tool"}, 1) ==
          "xenstore-watch: expected a number of events after -n, found 'x'.\n");
    CHECK(m.run({"xenstore", "frob"}, 1) ==
          "xenstore: 'frob' is unknown (known: chmod, exists, list, ls, read, rm, watch, write).\n");
}
