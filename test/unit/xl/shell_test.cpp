// SPDX-License-Identifier: Apache-2.0
#include "toolstack/dom0/shell/shell.hpp"

#include <catch2/catch.hpp>

#include <random>

#include "test/unit/xl/fake_backend.hpp"
#include "toolstack/dom0/shell/command_line.hpp"

using namespace bulkhead::shell;
using bulkhead::xl::FakeBackend;
using bulkhead::xl::FakeTerminal;

namespace {

struct Session {
    FakeBackend backend;
    FakeTerminal terminal;

    // Everything on the terminal for these input bytes.
    std::string type(const std::string& input) {
        terminal.input = input;
        terminal.output.clear();
        Shell shell(backend, terminal);
        shell.run();
        return terminal.output;
    }

    // What the last line echo'd, that is the line as the editor handed it over.
    std::string edited(const std::string& keys) {
        const auto output = type("echo " + keys + "\r");
        const auto end = output.rfind("\r\ndom0# ");
        const auto start = output.rfind("\r\n", end - 1) + 2;
        return output.substr(start, end - start);
    }

    int status(const std::string& line) {
        Shell shell(backend, terminal);
        terminal.output.clear();
        return shell.run_line(line);
    }
};

std::vector<std::string> words_of(const std::string& line) {
    const auto commands = parse_line(line);
    INFO(line);
    REQUIRE(commands);
    REQUIRE(commands->size() == 1);
    return (*commands)[0].words;
}

std::string refusal(const std::string& line) {
    const auto commands = parse_line(line);
    return commands ? "" : commands.error().sentence;
}

}  // namespace

TEST_CASE("a script sees its line, the output and the prompt") {
    Session s;
    CHECK(s.type("xl domid debian\n") == "dom0# xl domid debian\r\n4\r\ndom0# ");
    CHECK(s.type("true\r\necho $?\r\n") == "dom0# true\r\ndom0# echo $?\r\n0\r\ndom0# ");
    CHECK(s.type("false\recho $?\r") == "dom0# false\r\ndom0# echo $?\r\n1\r\ndom0# ");
    CHECK(s.type("\r\r") == "dom0# \r\ndom0# \r\ndom0# ");
    CHECK(s.type("\n\n") == "dom0# \r\ndom0# \r\ndom0# ");
    CHECK(s.type("echo -n x\n") == "dom0# echo -n x\r\nx\r\ndom0# ");
}

TEST_CASE("exit statuses") {
    Session s;
    CHECK(s.status("true") == 0);
    CHECK(s.status("false") == 1);
    CHECK(s.status("nonesuch") == 127);
    CHECK(s.status("echo 'x") == 2);
    CHECK(s.status("false; true") == 0);
    CHECK(s.status("false && true") == 1);
    CHECK(s.status("false || true") == 0);
    CHECK(s.status("true || false && false") == 1);
    CHECK(s.status("xl domid nobody") == 1);
    CHECK(s.status("") == 0);
    s.status("false; echo $? \"<$?>\" '$?'; echo $?");
    CHECK(s.terminal.output == "1 <1> $?\r\n0\r\n");
    s.status("false && echo no; echo yes");
    CHECK(s.terminal.output == "yes\r\n");
}

TEST_CASE("words and quotes") {
    using Words = std::vector<std::string>;
    CHECK(words_of("  a  b ") == Words{"a", "b"});
    CHECK(words_of("a 'b c' \"d \\\" \\\\ \\n\" e\\ f ''") == Words{"a", "b c", "d \" \\ \\n", "e f", ""});
    CHECK(words_of("a'b'\"c\"d") == Words{"abcd"});
    CHECK(words_of("a # b") == Words{"a"});
    CHECK(words_of("a#b") == Words{"a#b"});
    CHECK(words_of("create x 'cpus=\"0-3\"; vcpus=2'") == Words{"create", "x", "cpus=\"0-3\"; vcpus=2"});
    CHECK(parse_line("")->empty());
    CHECK(parse_line("# all")->empty());
    CHECK(parse_line("a;")->size() == 1);
    CHECK(refusal("a 'b") == "expected a closing '.");
    CHECK(refusal("a \"b") == "expected a closing \".");
    CHECK(refusal("a \\") == "expected a character after '\\'.");
    CHECK(refusal("; a") == "expected a command before ';'.");
    CHECK(refusal("a && && b") == "expected a command before '&&'.");
    CHECK(refusal("a ||") == "expected a command after '||'.");
    CHECK(refusal("a | b").starts_with("this shell has no pipes"));
    CHECK(refusal("a &").starts_with("this shell has no background"));
    CHECK(refusal("a > b").starts_with("this shell has no redirection ('>')"));
    CHECK(refusal("a $HOME").starts_with("this shell has no variables but $?"));
    CHECK(refusal("a `b`").starts_with("this shell has no use for '`'"));
    CHECK(refusal("a\x01").starts_with("the byte 0x01"));
}

TEST_CASE("editing keys") {
    Session s;
    CHECK(s.edited("abc\x7f\x08z") == "az");
    CHECK(s.edited("bc\x1b[D\x1b[Da") == "abc");
    CHECK(s.edited("bc\x02\x02"
                   "a\x06\x06"
                   "d") == "abcd");
    CHECK(s.edited("ac\x1b[Db") == "abc");
    CHECK(s.edited("abc\x1b[D\x1b[D\x1b[3~") == "ac");
    CHECK(s.edited("abc\x02\x02\x04") == "ac");
    CHECK(s.edited("abc\x02\x02\x0b") == "a");
    CHECK(s.edited("one two\x17three") == "one three");
    CHECK(s.edited("one two\x1b[1;5D\x1b[1;5Dzero ") == "zero one two");
    CHECK(s.edited("b\x01\x1b[1;5C\x06\x61\x05"
                   "c") == "abc");
    CHECK(s.edited("x\x1b[H\x1b[1;5C y\x1b[F z") == "y x z");
    CHECK(s.edited("x\x15"
                   "echo y") == "y");
    CHECK(s.edited("x\x1bOH\x1bOF z") == "x z");
}

TEST_CASE("Ctrl-C drops the line, Ctrl-L redraws it, Ctrl-D on an empty line does nothing") {
    Session s;
    CHECK(s.type("abc\x03true\r") == "dom0# abc^C\r\ndom0# true\r\ndom0# ");
    CHECK(s.type("\x03"
                 "echo $?\r") == "dom0# ^C\r\ndom0# echo $?\r\n130\r\ndom0# ");
    CHECK(s.type("ab\x0c") ==
          "dom0# ab\x1b[H\x1b[2J"
          "dom0# ab");
    CHECK(s.type("\x04") == "dom0# ");
}

TEST_CASE("history") {
    Session s;
    const auto echoed = [&](const std::string& keys) {
        const auto output = s.type(keys);
        const auto end = output.rfind("\r\ndom0# ");
        const auto start = output.rfind("\r\n", end - 1) + 2;
        return output.substr(start, end - start);
    };
    CHECK(echoed("echo 1\recho 2\r\x1b[A\x1b[A\r") == "1");
    CHECK(echoed("echo 1\recho 2\r\x1b[A\x1b[A\x1b[B\r") == "2");
    CHECK(echoed("echo 1\recho dr\x1b[A\x1b[B"
                 "aft\r") == "draft");
    CHECK(echoed("echo 1\r\x1b[A\x1b[A\x1b[A\x7f"
                 "3\r") == "3");
    CHECK(echoed("echo 1\rtrue\recho\x12\r") == "1");
    History history;
    for (int i = 0; i < 1000; ++i) history.add(std::to_string(i));
    CHECK(history.size() == History::kMaxLines);
    history.add("999");
    history.add("  ");
    CHECK(history.at(history.size() - 1) == "999");
}

TEST_CASE("completion") {
    Session s;
    CHECK(s.type("xl unp\tdeb\t") == "dom0# xl unpause debian ");
    CHECK(s.type("stub\tres\tcons\t") == "dom0# stubdom restart console ");
    CHECK(s.type("cat /etc/x\tw\t") == "dom0# cat /etc/xen/web.cfg ");
    CHECK(s.type("xl create we\t") == "dom0# xl create web.cfg ");
    CHECK(s.type("ls /bo\t\t") ==
          "dom0# ls /boot/\r\n/boot/empty  /boot/initrd  /boot/vmlinuz\r\ndom0# ls /boot/");
    CHECK(s.type("qqq\t") == "dom0# qqq\a");
    CHECK(s.type("true; fal\t") == "dom0# true; false ");
    CHECK(s.type("xl pause \t") == "dom0# xl pause debian ");
    CHECK(s.type("caps --j\t") == "dom0# caps --json ");
    static_cast<void>(s.backend.store.write(0, "/local/domain", ""));
    CHECK(s.type("xenstore-ls /l\t") == "dom0# xenstore-ls /local ");
    CHECK(s.type("xenstore rea\t") == "dom0# xenstore read ");
    // A name that a guest chose must not bring anything into the line.
    s.backend.store.nodes.clear();
    s.backend.store.nodes["/"] = {};
    s.backend.store.nodes["/e\x1b[2J;poweroff"] = {};
    CHECK(s.type("xenstore-ls /e\t") == "dom0# xenstore-ls /e\a");
}

TEST_CASE("an over-long line is refused whole") {
    Session s;
    const auto output = s.type("echo " + std::string(5000, 'x') + "\recho $?\r");
    CHECK(output.find("shell: the line is longer than 2048 characters and was not executed.\r\n") !=
          std::string::npos);
    CHECK(output.ends_with("echo $?\r\n2\r\ndom0# "));
}

TEST_CASE("garbage is harmless") {
    Session s;
    CHECK(s.type("\xff\x80\x00\x1b[999;999;999;999;999;9z\x1b\x1b["
                 "\r")
              .starts_with("dom0# "));
    std::mt19937 random(42);
    for (int round = 0; round < 200; ++round) {
        std::string input;
        for (int i = 0; i < 500; ++i) input += static_cast<char>(random() % 256);
        // No shutting down of the fake machine by chance, and no run of a random command matters: it must
        // only survive.
        CHECK(s.type(input).starts_with("dom0# "));
    }
}

TEST_CASE("files, sleep, help") {
    Session s;
    s.status("ls /");
    CHECK(s.terminal.output == "boot/\r\netc/\r\n");
    s.status("ls /etc/xen/web.cfg");
    CHECK(s.terminal.output == "/etc/xen/web.cfg\r\n");
    CHECK(s.status("ls /none") == 1);
    CHECK(s.status("cat /etc/../etc/xen//web.cfg") == 0);
    CHECK(s.terminal.output.starts_with("name = 'web'\r\n"));
    CHECK(s.status("cat /none") == 1);
    CHECK(s.terminal.output == "cat: /none: there is no such file.\r\n");
    CHECK(s.status("sleep 1.25") == 0);
    CHECK(s.backend.slept == 1250);
    CHECK(s.status("sleep x") == 1);
    CHECK(s.status("sleep 1.") == 1);
    CHECK(s.status("help") == 0);
    CHECK(s.status("help xl") == 0);
    CHECK(s.status("help frob") == 1);
    s.terminal.input = "\x03";
    CHECK(s.status("sleep 100 ; echo not reached") == 130);
    CHECK(s.terminal.output.find("reached") == std::string::npos);
}

TEST_CASE("what is typed after the Enter of `xl console` is the guest's") {
    Session s;
    const auto output = s.type("xl console debian\rls\r");
    CHECK(s.backend.typed_for_console == "ls\r");
    CHECK(output.find("no such command") == std::string::npos);
    CHECK(s.type("xl console nobody\recho mine\r").find("\r\nmine\r\n") != std::string::npos);
}

TEST_CASE("trace shows what a VMM tells of its vCPUs, whatever that is") {
    Session s;
    s.backend.trace = {1000,
                       {{13, 0xffffffff81001234, 29 | 1ull << 32},
                        {8, 0x10, 4},
                        {14, 0x20, 0xfee000b0},
                        {12, 0x30, 0xc0000080},
                        {10, 0x40, 0x103f8},
                        {9, 0x50, 0x77}}};
    CHECK(s.status("trace debian 1") == 0);
    CHECK(s.terminal.output ==
          "debian, vCPU 1: 1006 exits; the last 6, oldest first\r\n"
          "      1001  hypercall     rip ffffffff81001234  sched_op(0x1, ...)\r\n"
          "      1002  cpuid         rip 0000000000000010  leaf 0x4\r\n"
          "      1003  nested fault  rip 0000000000000020  guest-physical 0xfee000b0\r\n"
          "      1004  wrmsr         rip 0000000000000030  MSR 0xc0000080\r\n"
          "      1005  io            rip 0000000000000040  in port 0x3f8\r\n"
          "      1006  hlt           rip 0000000000000050\r\n");
    // All vCPUs.
    CHECK(s.status("trace 4") == 0);
    CHECK(s.backend.calls ==
          std::vector<std::string>{"exits of vCPU 1 of 4", "exits of vCPU 0 of 4", "exits of vCPU 1 of 4"});
    // A VMM that its guest took over says anything.
    s.backend.trace = {UINT64_MAX, {{4711, UINT64_MAX, UINT64_MAX}, {13, 0, UINT64_MAX}, {8, 0, UINT64_MAX}}};
    CHECK(s.status("trace debian 0") == 0);
    CHECK(s.terminal.output.find("  unknown       rip ffffffffffffffff  0xffffffffffffffff\r\n") !=
          std::string::npos);
    CHECK(s.terminal.output.find("  number 4294967295(0xffffffff, ...)\r\n") != std::string::npos);
    s.backend.trace = {};
    CHECK(s.status("trace debian 0") == 0);
    CHECK(s.terminal.output == "debian, vCPU 0: 0 exits; the last 0, oldest first\r\n");

    s.backend.next_failure = bulkhead::xl::Error{bulkhead::xl::ErrorKind::Gone, "its VMM does not answer."};
    CHECK(s.status("trace debian") == 1);
    CHECK(s.terminal.output == "trace: debian: its VMM does not answer.\r\n");
    CHECK(s.status("trace console") == 1);
    CHECK(s.terminal.output == "trace: console: it is no guest, so it has no vCPUs that exit.\r\n");
    CHECK(s.status("trace nobody") == 1);
    for (const char* wrong : {"trace", "trace debian x", "trace debian 65536", "trace debian 0 1"}) {
        CHECK(s.status(wrong) == 1);
        CHECK(s.terminal.output == "Usage: trace DOMAIN [VCPU]\r\n");
    }
    CHECK(s.type("trace d\t").find("trace debian") != std::string::npos);
}

TEST_CASE("caps, stubdom, poweroff, reboot") {
    Session s;
    CHECK(s.status("caps") == 0);
    CHECK(
        s.terminal.output.find(
            "Domain-0                 0        1 CNode         rw                      -               10   "
            "             1     4 KiB\r\n") != std::string::npos);
    CHECK(s.terminal.output.ends_with("4 capabilities\r\n"));
    CHECK(s.status("caps supervisor") == 0);
    CHECK(s.terminal.output.ends_with("1 capabilities\r\n"));
    s.status("caps console --json");
    CHECK(s.terminal.output ==
          "[\r\n  {\"domain\": 2, \"name\": \"console\", \"slot\": 3, \"type\": \"Endpoint\", \"rights\": "
          "\"w\", \"badge\": 48879, \"object\": 11, \"parent\": 10, \"size\": 0, \"container\": 20, "
          "\"index\": 3, "
          "\"parent_container\": 10, \"parent_index\": 4, \"mapped\": \"\", \"mapped_in\": 0, \"device\": "
          "false},\r\n"
          "  {\"domain\": 2, \"name\": \"console\", \"slot\": 4, \"type\": \"Frame\", \"rights\": \"rw\", "
          "\"badge\": 0, \"object\": 77, \"parent\": 76, \"size\": 4096, \"container\": 20, \"index\": 4, "
          "\"parent_container\": 5, \"parent_index\": 17, \"mapped\": \"rw\", \"mapped_in\": 30, \"device\": "
          "true}\r\n]\r\n");
    s.status("caps --dot");
    CHECK(s.terminal.output.starts_with("digraph capabilities {\r\n"));
    CHECK(s.terminal.output.find("  c2_3 -> o11;\r\n") != std::string::npos);
    CHECK(s.terminal.output.find("  o10 -> o11 [style=dashed];\r\n") != std::string::npos);
    CHECK(s.status("caps --json --dot") == 1);
    CHECK(s.status("caps nobody") == 1);
    CHECK(s.status("stubdom list") == 0);
    CHECK(
        s.terminal.output.find("xenstore                                     - failed              5\r\n") !=
        std::string::npos);
    CHECK(s.status("stubdom restart console") == 0);
    CHECK(s.status("stubdom restart nobody") == 1);
    CHECK(s.terminal.output == "stubdom: nobody: there is no such stub domain.\r\n");
    CHECK(s.status("stubdom") == 1);
    CHECK(s.status("stubdom kill xenstore") == 0);
    CHECK(s.status("stubdom kill xenstore 250") == 0);
    CHECK(s.backend.calls == std::vector<std::string>{"restart 2", "kill xenstore 0", "kill xenstore 250"});
    CHECK(s.status("stubdom kill nobody") == 1);
    CHECK(s.status("stubdom kill xenstore soon") == 1);
    CHECK(s.status("stubdom kill xenstore 60001") == 1);
    CHECK(s.terminal.output.starts_with("Usage: stubdom"));
    CHECK(s.status("poweroff") == 0);
    CHECK(s.status("reboot") == 0);
    CHECK(s.status("reboot now") == 1);
    CHECK(s.backend.calls == std::vector<std::string>{"restart 2", "kill xenstore 0", "kill xenstore 250",
                                                      "poweroff 0", "reset 0"});
}

TEST_CASE("selftest: every finding is a line, what fails makes its status, and nothing of it stays") {
    using bulkhead::xl::Finding;
    Session s;
    s.backend.printed =
        "BENCH guest.cpuid 1234 instructions\nBENCH guest.hypercall_xen_version 999 "
        "instructions\nGUEST-READY\n";
    s.backend.files["/boot/bench-guest"] = s.backend.files["/boot/vmlinuz-cloud"] =
        s.backend.files["/boot/initramfs"] = "x";
    s.backend.end = bulkhead::xl::DomainEnd{};
    CHECK(s.status("selftest now") == 1);
    (void)s.status("selftest");
    const std::string& report = s.terminal.output;
    INFO(report);
    CHECK(report.find("[works  ] CPU: a fake\r\n") != std::string::npos);
    CHECK(report.find("[missing] IOMMU: none\r\n") != std::string::npos);
    CHECK(report.find("a guest's CPUID takes 1234 ticks") != std::string::npos);
    CHECK(report.find("a call and its answer 700 (308 ns)") != std::string::npos);
    CHECK(report.find("[FAILED ] CPU 1: its guest was on CPU 0") != std::string::npos);  // as the fake says
    CHECK(report.find("rings: xenstore answers") != std::string::npos);
    CHECK(s.backend.store.nodes.count("/local/domain/0/selftest") == 0);
    s.backend.findings.push_back({"HPET", Finding::Verdict::Failed, "it is wrong\x1b[2J"});
    CHECK(s.status("selftest") == 1);
    CHECK(report.find("[FAILED ] HPET: it is wrong\x1b") ==
          std::string::npos);  // shown without its control characters
    CHECK(report.find("[FAILED ] HPET: it is wrong") != std::string::npos);
}
