// SPDX-License-Identifier: Apache-2.0
#include "toolstack/xl/xl.hpp"

#include <catch2/catch.hpp>

#include "test/unit/xl/fake_backend.hpp"

using namespace bulkhead::xl;

namespace {

struct Machine {
    FakeBackend backend;
    FakeTerminal terminal;
    Console console{terminal};
    Context context{backend, console};

    // The output with plain line ends.
    std::string run(std::vector<std::string> words, int wanted_status = 0) {
        terminal.output.clear();
        words.insert(words.begin(), "xl");
        const int status = run_xl(context, words);
        std::string text;
        for (const char c : terminal.output) {
            if (c != '\r') text += c;
        }
        INFO(text);
        CHECK(status == wanted_status);
        return text;
    }
};

bool contains(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("list has Xen's columns") {
    Machine m;
    CHECK(m.run({"list"}) ==
          "Name                                        ID   Mem VCPUs      State   Time(s)\n"
          "Domain-0                                     0    16     1     r-----       0.4\n"
          "console                                      2    16     1     -b----       0.4\n"
          "debian                                       4   256     2     -b----       1.9\n");
    CHECK(contains(m.run({"list", "debian"}), "\ndebian "));
    CHECK_FALSE(contains(m.run({"list", "4"}), "Domain-0"));
    CHECK(contains(m.run({"list", "-v", "4"}), "59e1cf6c-6ab9-4879-90e7-adc8d1c63bf5"));
    m.backend.list[2].shutdown = true;
    m.backend.list[2].reason = ShutdownReason::Crash;
    m.backend.list[2].blocked = false;
    CHECK(contains(m.run({"list", "4"}), "---sc-"));
    m.backend.list[2].dying = m.backend.list[2].paused = true;
    CHECK(contains(m.run({"list", "4"}), "--pscd"));
    // The letters of the other reasons: none, reboot, suspend, crash, watchdog, soft reset.
    m.backend.list[2].dying = m.backend.list[2].paused = false;
    for (unsigned reason = 0; reason < 6; ++reason) {
        m.backend.list[2].reason = static_cast<ShutdownReason>(reason);
        CHECK(contains(m.run({"list", "4"}), std::string("---s") + "-rscwS"[reason] + "-"));
    }
}

TEST_CASE("list --long is JSON") {
    Machine m;
    const auto text = m.run({"list", "--long"});
    CHECK(text.starts_with("[\n    {\n        \"domid\": 0,\n"));
    CHECK(text.ends_with("    }\n]\n"));
    CHECK(contains(text, "\"kernel\": \"/boot/vmlinuz\""));
    CHECK(contains(text, "\"type\": \"stubdom\""));
}

TEST_CASE("a missing domain is an error everywhere") {
    Machine m;
    for (const char* command :
         {"list", "pause", "unpause", "destroy", "shutdown", "reboot", "console", "vcpu-list", "uptime"}) {
        CHECK(m.run({command, "nobody"}, 1) == "nobody is an invalid domain identifier (rc=-6)\n");
        CHECK(m.run({command, "77"}, 1) == "77 is an invalid domain identifier (rc=-6)\n");
    }
    CHECK(m.backend.calls.empty());
}

TEST_CASE("what xl does not have is refused by name") {
    Machine m;
    CHECK(m.run({"migrate", "debian", "host"}, 1) == "xl: 'migrate' is not supported by Bulkhead yet.\n");
    CHECK(m.run({"frobnicate"}, 1) == "xl: unknown subcommand 'frobnicate'; `xl help` lists them.\n");
    CHECK(m.run({"-v", "list"}, 1) ==
          "xl: the global option '-v' is not supported by Bulkhead (supported: -N).\n");
    CHECK(m.run({"list", "-Z"}, 1) == "xl list: the option '-Z' is not supported by Bulkhead yet.\n");
    CHECK(m.run({"list", "--frob"}, 1) == "xl list: unknown option '--frob'.\n");
    CHECK(m.run({"create", "-V", "web.cfg"}, 1) ==
          "xl create: the option '-V' is not supported by Bulkhead yet.\n");
    CHECK(contains(m.run({"pause"}, 1), "'xl pause' requires at least 1 argument.\n"));
    CHECK(m.run({"pause", "a", "b"}, 1) == "xl pause: unexpected argument 'b'.\n");
}

TEST_CASE("create builds from the file and the overrides") {
    Machine m;
    CHECK(m.run({"create", "/etc/xen/web.cfg"}) == "Parsing config from /etc/xen/web.cfg\n");
    CHECK(m.backend.calls == std::vector<std::string>{"create web 6+7 9", "unpause 9"});
    CHECK(m.backend.configs[9].uuid->text() == "01020300-0000-4000-8000-000000000000");
    CHECK(m.backend.configs[9].memory_mib == 64);

    m.backend.calls.clear();
    CHECK(m.run({"create", "-qp", "web.cfg", "memory=96", "name=\"two\"; ramdisk=''"}).empty());
    CHECK(m.backend.calls == std::vector<std::string>{"create two 6+0 9"});
    CHECK(m.backend.configs[9].memory_mib == 96);

    m.backend.calls.clear();
    m.run({"create", "-q", "-c", "--defconfig=/etc/xen/web.cfg"});
    CHECK(m.backend.calls == std::vector<std::string>{"create web 6+7 9", "unpause 9", "console 9"});
    m.run({"create", "-q", "-f=/etc/xen/web.cfg", "-p"});
    CHECK(m.run({"create", "-q", "-p", "-d", "web.cfg"}) == m.run({"create", "-n", "web.cfg"}));
}

TEST_CASE("create -n and -N build nothing") {
    Machine m;
    const auto text = m.run({"create", "-n", "web.cfg"});
    CHECK(text.starts_with(
        "{\n    \"c_info\": {\n        \"type\": \"pvh\",\n        \"name\": \"web\"\n    },\n"));
    CHECK(contains(text, "\"max_memkb\": 65536,"));
    CHECK(m.run({"-N", "create", "web.cfg"}) == text);
    CHECK(m.run({"create", "-n", "/dev/null", "name='web'", "kernel='/boot/vmlinuz'", "memory=64"})
              .starts_with("{\n    \"c_info\": {\n"));
    CHECK(m.run({"-N", "destroy", "debian"}) == "xl: dry run: 'destroy' was not executed.\n");
    CHECK(m.backend.calls.empty());
}

TEST_CASE("create refuses bad input with one sentence and builds nothing") {
    Machine m;
    CHECK(m.run({"create", "-q", "none.cfg"}, 1) ==
          "xl: cannot read the configuration 'none.cfg': there is no such file.\n");
    CHECK(m.run({"create", "-q", "web.cfg", "other.cfg"}, 1) ==
          "xl create: expected one configuration file, found 'web.cfg' and 'other.cfg'.\n");
    CHECK(m.run({"create", "-q", "web.cfg", "name='debian'"}, 1) ==
          "xl: debian: a domain named 'debian' exists already (ID 4).\n");
    CHECK(m.run({"create", "-q", "web.cfg", "uuid='59e1cf6c-6ab9-4879-90e7-adc8d1c63bf5'"}, 1) ==
          "xl: web: the UUID 59e1cf6c-6ab9-4879-90e7-adc8d1c63bf5 is in use by domain 'debian'.\n");
    CHECK(m.run({"create", "-q", "web.cfg", "kernel='/boot/none'"}, 1) ==
          "xl: web: kernel: cannot read '/boot/none': there is no such file.\n");
    CHECK(m.run({"create", "-q", "web.cfg", "ramdisk='/boot/empty'"}, 1) ==
          "xl: web: ramdisk: '/boot/empty' is empty.\n");
    CHECK(m.run({"create", "-q", "web.cfg", "cpus='7'"}, 1) ==
          "xl: web: cpus: '7' names none of this machine's 2 CPUs.\n");
    CHECK(m.run({"create", "-q", "web.cfg", "vcpus="}, 1) ==
          "xl: command line:1:7: expected a string, a number or '[', found the end of the line.\n");
    CHECK(m.run({"create", "-q", "web.cfg", "vif=[]"}, 1) ==
          "xl: command line:1:1: vif: this key is not supported by Bulkhead yet.\n");
    m.backend.files["/etc/xen/bad.cfg"] = "name = 'x\n";
    CHECK(m.run({"create", "bad.cfg"}, 1) ==
          "Parsing config from bad.cfg\nxl: bad.cfg:1:8: expected a closing ' on the same line; this string "
          "has none.\n");
    m.backend.files["/etc/xen/empty.cfg"] = "";
    CHECK(contains(m.run({"create", "-q", "empty.cfg"}, 1),
                   "xl: empty.cfg: the key 'name' is missing; every domain needs a name.\n"));
    m.backend.next_failure = Error{ErrorKind::NoSpace, "64 MiB are asked for, but only 3 MiB are free."};
    CHECK(m.run({"create", "-q", "web.cfg"}, 1) ==
          "xl: web: 64 MiB are asked for, but only 3 MiB are free.\n");
    CHECK(m.backend.calls.empty());
}

TEST_CASE("create -F waits for death, and Ctrl-C stops the waiting") {
    Machine m;
    m.backend.end = DomainEnd{true, {}};
    CHECK(m.run({"create", "-qF", "web.cfg"}) == "Domain 9 has been destroyed\n");
    m.backend.end.reset();
    m.terminal.input = "\x03";
    CHECK(m.run({"create", "-qF", "web.cfg"}, 130) == "xl: no longer waiting for domain 9; it runs on.\n");
}

TEST_CASE("lifecycle commands") {
    Machine m;
    CHECK(m.run({"pause", "debian"}).empty());
    CHECK(m.run({"unpause", "4"}).empty());
    CHECK(m.run({"destroy", "debian"}).empty());
    CHECK(m.run({"shutdown", "debian"}) == "Shutting down domain 4\n");
    CHECK(m.run({"reboot", "debian"}) == "Rebooting domain 4\n");
    CHECK(m.run({"sysrq", "debian", "c"}).empty());
    CHECK(m.run({"rename", "debian", "sid"}).empty());
    CHECK(m.run({"console", "debian"}) == "\n");
    CHECK(m.backend.calls == std::vector<std::string>{"pause 4", "unpause 4", "destroy 4", "shutdown 4",
                                                      "reboot 4", "sysrq c 4", "rename sid 4", "console 4"});
    CHECK(m.run({"sysrq", "debian", "cc"}, 1) == "Invalid sysrq: expected one letter.\n");
    CHECK(contains(m.run({"rename", "debian", "7"}, 1), "Can't rename domain 'debian' to '7': a name is"));
    CHECK(contains(m.run({"console", "-t", "serial", "debian"}, 1), "console type 'serial'"));
    CHECK(contains(m.run({"console", "-n", "1", "debian"}, 1), "console number '1'"));
    m.backend.next_failure = Error{ErrorKind::Other, "it does not answer."};
    CHECK(m.run({"pause", "debian"}, 1) == "xl: debian: it does not answer.\n");
}

TEST_CASE("dom0 and stub domains are not guests") {
    Machine m;
    CHECK(m.run({"destroy", "0"}, 1) == "xl: domain 0 runs this command and cannot be destroyed.\n");
    CHECK(contains(m.run({"pause", "console"}, 1), "`stubdom restart console`"));
    CHECK(contains(m.run({"shutdown", "Domain-0"}, 1), "is not a guest"));
    CHECK(contains(m.run({"destroy", "-f", "0"}, 1), "'-f'"));
    CHECK(contains(m.run({"sysrq", "0", "c"}, 1), "is not a guest"));
    CHECK(m.backend.calls.empty());
}

TEST_CASE("shutdown waits and takes all guests") {
    Machine m;
    m.backend.end = DomainEnd{false, ShutdownReason::Poweroff};
    CHECK(m.run({"shutdown", "-w", "debian"}) ==
          "Shutting down domain 4\nWaiting for 1 domains\nDomain 4 has been shut down, reason code 0\n");
    CHECK(m.backend.calls.back() == "wait shutdown 4");
    m.backend.end = DomainEnd{true, {}};
    CHECK(m.run({"shutdown", "-a", "-ww"}) ==
          "Shutting down domain 4\nWaiting for 1 domains\nDomain 4 has been destroyed\n");
    CHECK(m.backend.calls.back() == "wait death 4");
    CHECK(m.run({"shutdown"}, 1) == "You must specify -a or a domain id.\n");
    CHECK(m.run({"reboot", "-a", "debian"}, 1) == "You cannot specify -a and a domain id at once.\n");
    CHECK(m.run({"shutdown", "-F", "debian"}) == "Shutting down domain 4\n");
    CHECK(m.run({"reboot", "-F", "-a"}) == "Rebooting domain 4\n");
    m.backend.next_failure = Error{ErrorKind::Unsupported, ""};
    CHECK(m.run({"shutdown", "-F", "debian"}, 1) ==
          "Shutting down domain 4\nPV control interface not available, and a PVH guest has no ACPI power "
          "button for -F to press; `xl destroy` ends it.\n");
    m.backend.next_failure = Error{ErrorKind::Unsupported, ""};
    CHECK(m.run({"shutdown", "-w", "debian"}, 1) ==
          "Shutting down domain 4\nPV control interface not available: external graceful shutdown not "
          "possible.\n");
}

TEST_CASE("names and ids") {
    Machine m;
    CHECK(m.run({"domid", "debian"}) == "4\n");
    CHECK(m.run({"domid", "nobody"}, 1) ==
          "Can't get domid of domain name 'nobody', maybe this domain does not exist.\n");
    CHECK(m.run({"domname", "0"}) == "Domain-0\n");
    CHECK(m.run({"domname", "99"}, 1) ==
          "Can't get domain name of domain id '99', maybe this domain does not exist.\n");
    CHECK(m.run({"domname", "x"}, 1) == "Invalid domain id.\n");
    CHECK(m.run({"vm-list"}) ==
          "UUID                                  ID    name\n59e1cf6c-6ab9-4879-90e7-adc8d1c63bf5  4    "
          "debian\n");
}

TEST_CASE("uptime and vcpu-list") {
    Machine m;
    CHECK(m.run({"uptime", "0", "debian"}) ==
          "Name                                ID Uptime\n"
          "Domain-0                             0 1 day,  2:03:04\n"
          "debian                               4  0:01:05\n");
    CHECK(m.run({"uptime", "-s", "debian"}) == " 13:02:09 up  0:01, debian (4)\n");
    CHECK(m.run({"vcpu-list", "debian"}) ==
          "Name                                ID  VCPU   CPU State   Time(s) Affinity (Hard / Soft)\n"
          "debian                               4     0    0   -b-       1.5  all / all\n"
          "debian                               4     1    -   --p       1.5  all / all\n");
}

TEST_CASE("info and dmesg") {
    Machine m;
    const auto text = m.run({"info"});
    CHECK(text.starts_with("host                   : bulkhead\nrelease                : 0.1.0\n"));
    CHECK(contains(text, "\nnr_cpus                : 2\n"));
    CHECK(contains(text, "\ncpu_mhz                : 2266.007\n"));
    CHECK(contains(text, "\ntotal_memory           : 2048\nfree_memory            : 1024\n"));
    CHECK_FALSE(contains(text, "numa_info"));
    CHECK(contains(m.run({"info", "-n"}),
                   "numa_info              :\nnode:    memsize    memfree    distances\n   0:      2048      "
                   " 1024      10\n"));
    CHECK(m.run({"info", "free_memory"}) == "1024\n");
    CHECK(m.run({"info", "xen_m"}) == "4\n17\n");
    CHECK(m.run({"info", "no_such_field"}).empty());
    CHECK(m.run({"info", "-n", "free_memory"}) == m.run({"info", "-n"}));
    m.backend.log = "one\n\x1b[2Jtwo";
    CHECK(m.run({"dmesg", "-c"}) == "one\n?[2Jtwo\n");
    CHECK(m.run({"dmesg"}).empty());
}

TEST_CASE("help") {
    Machine m;
    CHECK(contains(m.run({"help"}), "\n create              Create a domain from config file <filename>\n"));
    CHECK(m.run({"help", "dmesg"}) ==
          "Usage: xl dmesg [-c]\n\nRead and/or clear dmesg buffer.\n\nOptions:\n\n-c, --clear             "
          "Clear dmesg buffer as well as printing it\n");
    CHECK(m.run({"dmesg", "-h"}) == m.run({"help", "dmesg"}));
    CHECK(m.run({"help", "migrate"}, 1) == "xl: 'migrate' is not supported by Bulkhead yet.\n");
    m.run({}, 1);
}
