// SPDX-License-Identifier: Apache-2.0
// The console service over real channels on a fake kernel: the test plays the domains, dom0 and whoever sits
// at the terminal.
#include "services/console-stubdom/console_service.hpp"

#include <catch2/catch.hpp>
#include <random>
#include <string>

#include "abi/start.hpp"
#include "lib/ring/connection.hpp"
#include "lib/ring/message.hpp"
#include "test/unit/fake_kernel/domain.hpp"
#include "test/unit/ring/shared_memory.hpp"

using namespace bulkhead;
using namespace bulkhead::console;
using abi::CapAddr;
using abi::ObjectType;
using abi::Status;
using schema::console::FromControl;
using schema::console::FromDomain;
using schema::console::ToControl;
using schema::console::ToDomain;

namespace {

constexpr uint64_t kControl = abi::kControlRole;  // dom0's badge

// A terminal that takes `credit` bytes.
class Terminal final : public Ports {
  public:
    std::string shown;
    size_t credit = ~size_t{0};
    uint8_t in(unsigned reg) override {
        return reg == 5 ? (credit >= 16 ? 0x60 : 0x00) : reg == 2 ? 0xc1 : 0;
    }
    void out(unsigned reg, uint8_t value) override {
        if (reg != 0) return;
        shown += static_cast<char>(value);
        credit--;
    }
};

struct Bench;

// One client, by the library that real ones use.
class Peer {
  public:
    Peer(Bench& bench, uint64_t badge);
    Status connect();
    ring::Channel& channel() { return connection_->channel(); }
    template <typename Message, typename Fill>
    ring::Io send(Fill&& fill, size_t words = 700) {
        return ring::send<Message>(channel(), words, fill);
    }
    ring::Io print(std::string_view text) {
        return send<FromDomain>(
            [&](auto m) {
                m.setOutput({reinterpret_cast<const kj::byte*>(text.data()), text.size()});
            },
            16 + text.size() / 8);
    }
    std::string typed() {  // what came as input
        std::string out;
        while (ring::receive<ToDomain>(channel(), [&](auto m) {
                   if (m.isInput())
                       out.append(reinterpret_cast<const char*>(m.getInput().begin()), m.getInput().size());
                   return true;
               }) == ring::Io::Ok) {
        }
        (void)channel().arm();
        return out;
    }

  private:
    Bench& bench_;
    const uint64_t badge_;
    std::optional<ring::Hub> hub_;
    std::optional<ring::Connection> connection_;
};

struct Bench : fake::Domain {
    // A connect under way: what was sent with it, where the answer goes.
    struct Call {
        uint64_t badge;
        cap::RawCall raw;
        abi::IpcBuffer buffer;
        bool taken = false;
    };
    std::unique_ptr<Call> call;
    uint64_t calling_badge = 0;
    uint64_t bits = 0;
    unsigned irq_bit = 0;

    Terminal terminal;
    Uart uart{terminal};
    std::vector<std::byte> memory = std::vector<std::byte>(4 * Scrollback::kSlotBytes);
    Scrollback scrollback{memory};
    ConsoleService service{uart, scrollback};
    std::optional<ring::Hub> hub;
    std::optional<ring::Listener> listener;

    Bench() : fake::Domain{26} {
        ring_test::install_fixup();  // peers die with their memory
        kernel.give(100, ObjectType::Untyped, 25, 0);
        kernel.give(101, ObjectType::Endpoint);
        kernel.talk = [this](abi::Call number, cap::RawCall& c) { return talk(number, c); };
        env.memory.add(CapAddr{0, 100});
        hub.emplace(ring::Hub::create(env).value());
        irq_bit = *hub->take_bit();
        listener.emplace(*hub, CapAddr{0, 101}, service, ring::ListenOptions{.max_clients = 8});
        service.set_listener(*listener);
    }
    Status talk(abi::Call number, cap::RawCall& c) {
        abi::IpcBuffer& buffer = cap::ipc_buffer();
        switch (number) {
            case abi::Call::Signal: {
                const auto *target = kernel.find(CapAddr{c.a[0]}), *own = kernel.find(hub->notification());
                if (target && target->object == own->object) bits |= target->badge;
                return Status::Ok;
            }
            case abi::Call::IpcCall:  // the service's turn, then back: one thread, one buffer
                call.reset(new Call{calling_badge, c, buffer});
                (void)listener->turn(abi::kDeadlinePoll);
                c = call->raw;
                buffer = call->buffer;
                call.reset();
                return Status::Ok;
            case abi::Call::IpcRecv:
                if (call && !std::exchange(call->taken, true)) {
                    const unsigned caps = abi::MessageTag{call->raw.a[1]}.caps();
                    for (unsigned i = 0; i < caps; i++)
                        REQUIRE(kernel.move(buffer.receive_slots[i], call->buffer.caps[i]) == Status::Ok);
                    buffer.received = caps;
                    std::copy_n(call->raw.a + 1, 5, c.a + 1);
                    c.a[0] = call->badge;
                    return Status::Ok;
                }
                if (bits == 0) return Status::Timeout;
                c.a[2] = std::exchange(bits, 0);
                return Status::Notified;
            case abi::Call::IpcReply: {
                if (!call) return Status::Ok;
                const unsigned caps = abi::MessageTag{c.a[1]}.caps();
                for (unsigned i = 0; i < caps; i++)
                    REQUIRE(kernel.move(call->buffer.receive_slots[i], buffer.caps[i]) == Status::Ok);
                std::copy_n(c.a + 1, 5, call->raw.a + 1);
                call->buffer.received = caps;
                return Status::Ok;
            }
            default: return Status::NoSuchCall;
        }
    }
    // As main.cpp does after an interrupt of the serial port.
    void turn() {
        bits |= uint64_t{1} << irq_bit;
        (void)listener->turn(abi::kDeadlinePoll);
        std::vector<std::byte> none;
        uart.interrupt(none);
        service.pump();
    }
    // Everything that can happen happens.
    void run() {
        for (int i = 0; i < 60; i++) turn();
    }
    void type(std::string_view text) {
        service.input({reinterpret_cast<const std::byte*>(text.data()), text.size()});
        run();
    }
    std::string log_of(uint64_t badge) {
        const Scrollback::Log* log = scrollback.find(badge);
        if (!log) return "(none)";
        std::string out(Scrollback::Log::capacity(), 0);
        uint64_t at = 0;
        out.resize(log->read(at, {reinterpret_cast<std::byte*>(out.data()), out.size()}));
        return out;
    }
};

Peer::Peer(Bench& bench, uint64_t badge)
    : bench_{bench}, badge_{badge}, hub_{ring::Hub::create(bench.env).value()} {
    connection_.emplace(*hub_, CapAddr{0, 101});
}

Status Peer::connect() {
    bench_.calling_badge = badge_;
    return connection_->connect();
}

// dom0's end, with what the service told it.
struct Dom0 : Peer {
    std::string input, error, history;
    std::vector<uint64_t> detached;
    std::vector<std::string> names;
    uint64_t next = 0;
    bool end = false;
    explicit Dom0(Bench& bench) : Peer{bench, kControl} {}

    void take() {
        while (ring::receive<ToControl>(channel(), [&](ToControl::Reader m) {
                   if (m.isInput())
                       input.append(reinterpret_cast<const char*>(m.getInput().begin()), m.getInput().size());
                   if (m.isDetached()) detached.push_back(m.getDetached());
                   if (!m.isResult()) return true;
                   const auto result = m.getResult();
                   error = result.getError().cStr();
                   history.append(reinterpret_cast<const char*>(result.getData().begin()),
                                  result.getData().size());
                   next = result.getNext();
                   end = result.getEnd();
                   for (const auto domain : result.getDomains()) names.push_back(domain.getName().cStr());
                   return true;
               }) == ring::Io::Ok) {
        }
        (void)channel().arm();
    }
    void ask_for(Bench& bench, uint64_t domain) {
        (void)send<FromControl>([&](auto m) { m.initAttach().setDomain(domain); }, 16);
        bench.run();
        take();
    }
    void say_typed(Bench& bench, std::string_view text) {
        (void)send<FromControl>(
            [&](auto m) {
                m.setTyped({reinterpret_cast<const kj::byte*>(text.data()), text.size()});
            },
            16 + text.size() / 8);
        bench.run();
        take();
    }
    void attach(Bench& bench, uint64_t domain) {
        ask_for(bench, domain);
        say_typed(bench, "");
    }
};

}  // namespace

TEST_CASE("console: what a domain prints is kept under its name and shown to nobody") {
    Bench bench;
    Dom0 dom0{bench};
    Peer guest{bench, 7};
    REQUIRE(dom0.connect() == Status::Ok);
    REQUIRE(guest.connect() == Status::Ok);
    (void)guest.send<FromDomain>([](auto m) { m.setHello("web1"); }, 16);
    (void)guest.print("secret");
    bench.run();
    CHECK(bench.log_of(7) == "secret");
    CHECK(bench.terminal.shown.empty());
    (void)dom0.send<FromControl>([](auto m) { m.initList(); }, 16);
    bench.run();
    dom0.take();
    CHECK(dom0.names == std::vector<std::string>{"web1"});
}

TEST_CASE("console: attach shows the log, then what comes; Ctrl-] gives the terminal back") {
    Bench bench;
    Dom0 dom0{bench};
    Peer guest{bench, 7}, other{bench, 8};
    REQUIRE(dom0.connect() == Status::Ok);
    REQUIRE(guest.connect() == Status::Ok);
    REQUIRE(other.connect() == Status::Ok);
    (void)guest.print("before ");
    (void)other.print("not this");
    bench.type("ls\n");
    dom0.take();
    CHECK(dom0.input == "ls\n");
    dom0.attach(bench, 7);
    CHECK(dom0.error.empty());
    (void)guest.print("after");
    bench.run();
    CHECK(bench.terminal.shown == "before after");
    bench.type("root\n");
    CHECK(guest.typed() == "root\n");
    CHECK(other.typed().empty());
    bench.type("x\x1dy");
    CHECK(guest.typed() == "x");
    dom0.take();
    CHECK(dom0.detached == std::vector<uint64_t>{7});
    CHECK(dom0.input == "ls\ny");
    (void)guest.print("unseen");
    bench.run();
    CHECK(bench.terminal.shown == "before after");
    dom0.attach(bench, 99);
    CHECK(dom0.error == "the domain has no console");
}

TEST_CASE("console: what was typed before the attach was done is the domain's, in order") {
    Bench bench;
    Dom0 dom0{bench};
    Peer guest{bench, 7};
    REQUIRE(dom0.connect() == Status::Ok);
    REQUIRE(guest.connect() == Status::Ok);
    bench.type("one ");
    dom0.take();
    dom0.ask_for(bench, 7);
    bench.type("three");
    CHECK(guest.typed().empty());  // until dom0 has said what it had read
    dom0.say_typed(bench, "one two ");
    CHECK(guest.typed() == "one two three");
    dom0.say_typed(bench, "once only");
    CHECK(guest.typed().empty());
    CHECK(dom0.input == "one ");
}

TEST_CASE("console: a Ctrl-] that was typed ahead leaves, and what follows it is dom0's") {
    Bench bench;
    Dom0 dom0{bench};
    Peer guest{bench, 7};
    REQUIRE(dom0.connect() == Status::Ok);
    REQUIRE(guest.connect() == Status::Ok);
    dom0.ask_for(bench, 7);
    bench.type(
        "b\x1d"
        "c");
    dom0.say_typed(bench, "a");
    CHECK(guest.typed() == "ab");
    CHECK(dom0.detached == std::vector<uint64_t>{7});
    CHECK(dom0.input == "c");
}

TEST_CASE("console: a domain that goes before dom0 has answered leaves the typed text to dom0") {
    Bench bench;
    Dom0 dom0{bench};
    REQUIRE(dom0.connect() == Status::Ok);
    {
        Peer guest{bench, 7};
        REQUIRE(guest.connect() == Status::Ok);
        dom0.ask_for(bench, 7);
        bench.type("xl list\n");
    }
    bench.run();
    dom0.take();
    CHECK(dom0.detached == std::vector<uint64_t>{7});
    bench.type("!");
    dom0.take();
    CHECK(dom0.input == "xl list\n!");
}

TEST_CASE("console: who looks sees every byte, however slow the line and fast the domain") {
    Bench bench;
    Dom0 dom0{bench};
    Peer guest{bench, 7};
    REQUIRE(dom0.connect() == Status::Ok);
    REQUIRE(guest.connect() == Status::Ok);
    bench.run();
    dom0.attach(bench, 7);
    std::string all;
    for (int line = 0; line < 4000 && all.size() < 3 * Scrollback::Log::capacity(); line++) {
        bench.terminal.credit = 600;
        for (int i = 0; i < 3; i++) {
            const std::string text =
                "line " + std::to_string(line) + "." + std::to_string(i) + std::string(300, '.') + "\n";
            if (guest.print(text) == ring::Io::Ok) all += text;
        }
        bench.turn();
    }
    CHECK(all.size() >= 3 * Scrollback::Log::capacity());
    for (int i = 0; i < 1000 && bench.terminal.shown.size() < all.size(); i++) {
        bench.terminal.credit = 600;
        bench.turn();
    }
    CHECK(bench.terminal.shown.size() == all.size());
    CHECK(bench.terminal.shown == all);
}

TEST_CASE("console: who is not looked at prints at full speed and keeps its latest") {
    Bench bench;
    Peer guest{bench, 7};
    REQUIRE(guest.connect() == Status::Ok);
    bench.terminal.credit = 0;
    std::string all;
    for (int i = 0; i < 500; i++) {
        const std::string text(200, static_cast<char>('a' + i % 26));
        REQUIRE(guest.print(text) == ring::Io::Ok);
        all += text;
        bench.run();
    }
    CHECK(bench.log_of(7) == all.substr(all.size() - Scrollback::Log::capacity()));
}

TEST_CASE("console: history comes in pieces") {
    Bench bench;
    Dom0 dom0{bench};
    Peer guest{bench, 7};
    REQUIRE(dom0.connect() == Status::Ok);
    REQUIRE(guest.connect() == Status::Ok);
    std::string all;
    for (int i = 0; i < 40; i++) {
        all += std::to_string(i) + std::string(250, '-');
        (void)guest.print(all.substr(all.size() - 251 - (i > 9)));
        bench.run();
    }
    for (int i = 0; i < 20 && !dom0.end; i++) {
        (void)dom0.send<FromControl>(
            [&](auto m) {
                auto history = m.initHistory();
                history.setDomain(7);
                history.setOffset(dom0.next);
            },
            16);
        bench.run();
        dom0.take();
    }
    CHECK(dom0.end);
    CHECK(dom0.history == bench.log_of(7));
}

TEST_CASE("console: the attached domain goes: its last words are shown, the terminal is dom0's") {
    Bench bench;
    Dom0 dom0{bench};
    Peer guest{bench, 7};
    REQUIRE(dom0.connect() == Status::Ok);
    REQUIRE(guest.connect() == Status::Ok);
    bench.run();
    dom0.attach(bench, 7);
    (void)guest.print("goodbye");
    guest.channel().close(ring::CloseReason::Requested);
    bench.run();
    dom0.take();
    CHECK(bench.terminal.shown == "goodbye");
    CHECK(dom0.detached == std::vector<uint64_t>{7});
    CHECK(bench.log_of(7) == "goodbye");
    REQUIRE(guest.connect() == Status::Ok);  // the next instance of the same domain goes on in its log
    (void)guest.print(" again");
    bench.run();
    CHECK(bench.log_of(7) == "goodbye again");
}

TEST_CASE("console: dom0 goes: nobody stays attached, and its next instance has the terminal") {
    Bench bench;
    Dom0 dom0{bench};
    Peer guest{bench, 7};
    REQUIRE(dom0.connect() == Status::Ok);
    REQUIRE(guest.connect() == Status::Ok);
    dom0.attach(bench, 7);
    dom0.channel().close(ring::CloseReason::Requested);
    bench.run();
    bench.type("lost");
    CHECK(guest.typed().empty());
    Dom0 next{bench};
    REQUIRE(next.connect() == Status::Ok);
    bench.type("ok");
    next.take();
    CHECK(next.input.ends_with("ok"));
    (void)next.send<FromControl>(
        [](auto m) {
            m.setOutput({reinterpret_cast<const kj::byte*>("prompt"), 6});
        },
        16);
    bench.run();
    CHECK(bench.terminal.shown == "prompt");
}

TEST_CASE("console: hostile messages cost their sender its channel at most") {
    Bench bench;
    Dom0 dom0{bench};
    Peer good{bench, 7};
    REQUIRE(dom0.connect() == Status::Ok);
    REQUIRE(good.connect() == Status::Ok);
    std::mt19937_64 random{3};
    for (int round = 0; round < 100; round++) {
        Peer bad{bench, 9};
        REQUIRE(bad.connect() == Status::Ok);
        for (int i = 0; i < 6 && bad.channel().open(); i++) {
            if (round % 3 == 0) {  // what only dom0 may say
                (void)bad.send<FromControl>([&](auto m) { m.initAttach().setDomain(7); }, 16);
                (void)bad.send<FromControl>([&](auto m) { m.initForget().setDomain(7); }, 16);
            } else {
                std::span<uint64_t> words;
                const size_t count = 1 + random() % 40;
                if (bad.channel().prepare(count, words) != ring::Io::Ok) break;
                for (uint64_t& word : words) word = random() % 3 ? random() : random() % 64;
                bad.channel().commit(count);
            }
        }
        bench.run();
    }
    CHECK(bench.terminal.shown.empty());
    (void)good.print("still here");
    bench.run();
    CHECK(bench.log_of(7) == "still here");
    dom0.attach(bench, 7);
    CHECK(bench.terminal.shown == "still here");
}

TEST_CASE("console: no log is left when all belong to the connected; a replaced channel does not free one") {
    Bench bench;
    std::vector<std::unique_ptr<Peer>> peers;
    for (uint64_t badge = 1; badge <= 4; badge++) {
        peers.push_back(std::make_unique<Peer>(bench, badge));
        REQUIRE(peers.back()->connect() == Status::Ok);
    }
    Peer fifth{bench, 5};
    CHECK(fifth.connect() == Status::NoRights);
    REQUIRE(peers[0]->connect() == Status::Ok);
    CHECK(fifth.connect() == Status::NoRights);
    peers[1]->channel().close(ring::CloseReason::Requested);
    bench.run();
    bench.bits = ~uint64_t{0} >> 1;
    bench.run();
    CHECK(fifth.connect() == Status::Ok);
    CHECK(bench.log_of(2) == "(none)");
}
