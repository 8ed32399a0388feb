// SPDX-License-Identifier: Apache-2.0
#include "toolstack/dom0/orderly_shutdown.hpp"

#include <catch2/catch.hpp>

#include "test/unit/xl/fake_backend.hpp"

using namespace bulkhead;
using namespace bulkhead::dom0;

namespace {

struct Bench {
    xl::FakeBackend machine;
    std::uint32_t presses = 0;
    std::uint64_t now = 1000;
    std::vector<std::string> said;
    OrderlyShutdown shutdown{{machine, [this] { return presses; }, [this] { return now; },
                              [this](const std::string& s) { said.push_back(s); }}};

    Bench() {
        auto paused = machine.list.back();
        paused.id = 9, paused.name = "sleeper", paused.paused = true;
        auto second = machine.list.back();
        second.id = 7, second.name = "second";
        machine.list.push_back(second);
        machine.list.push_back(paused);
    }
    bool did(const std::string& call) const {
        return std::ranges::find(machine.calls, call) != machine.calls.end();
    }
    unsigned off() const { return static_cast<unsigned>(std::ranges::count(machine.calls, "poweroff 0")); }
    bool heard(const std::string& words) const {
        return std::ranges::any_of(said,
                                   [&](const std::string& s) { return s.find(words) != std::string::npos; });
    }
    void gone(xl::DomainId id) {
        std::erase_if(machine.list, [&](const xl::DomainInfo& d) { return d.id == id; });
    }
    void pass(std::uint64_t ms) {
        now += ms;
        shutdown.attend();
    }
};

}  // namespace

TEST_CASE("orderly shutdown: nothing happens without a press") {
    Bench b;
    for (int i = 0; i < 10; i++) b.pass(10'000);
    CHECK(b.machine.calls.empty());
    CHECK(b.said.empty());
    CHECK(b.shutdown.due_ms() == ~std::uint64_t{0});
}

TEST_CASE("orderly shutdown: guests first, all of them, then the machine") {
    Bench b;
    b.presses = 1;
    b.pass(0);
    CHECK(b.heard("shutting down 3 guests"));
    CHECK(b.did("shutdown 4"));
    CHECK(b.did("shutdown 7"));
    CHECK_FALSE(b.did("shutdown 9"));  // paused: it could never hear it
    CHECK(b.heard("sleeper is paused"));
    CHECK(b.off() == 0);
    CHECK(b.shutdown.due_ms() <= b.now + 1000);
    b.gone(4);
    b.pass(600);
    CHECK(b.off() == 0);
    for (auto& domain : b.machine.list)
        if (domain.id == 7) domain.shutdown = true;  // on_poweroff = "preserve"
    b.pass(600);
    CHECK(b.off() == 1);
    CHECK(b.heard("all guests are down"));
}

TEST_CASE("orderly shutdown: who does not obey is cut off when time is over") {
    Bench b;
    b.presses = 1;
    b.pass(0);
    b.gone(4);
    while (b.now < 1000 + OrderlyShutdown::kPatienceMs - 1000) b.pass(500);
    CHECK(b.off() == 0);
    b.pass(2000);
    CHECK(b.off() == 1);
    CHECK(b.heard("1 guest did not shut down within 60 s"));
    b.pass(100'000);
    CHECK(b.off() == 1);  // it failed, and said so
}

TEST_CASE("orderly shutdown: a guest that does not listen is named, the others are asked") {
    Bench b;
    b.machine.next_failure =
        xl::Error{xl::ErrorKind::Unsupported, "the guest does not listen on control/shutdown."};
    b.presses = 1;
    b.pass(0);
    CHECK(b.heard("cannot be asked to shut down (the guest does not listen"));
    CHECK(b.did("shutdown 7"));
}

TEST_CASE("orderly shutdown: a second press does not wait; no guests, no waiting") {
    Bench b;
    b.presses = 1;
    b.pass(0);
    b.presses = 2;
    b.pass(10);
    CHECK(b.off() == 1);
    CHECK(b.heard("pressed again"));
    Bench empty;
    empty.machine.list.resize(1);
    empty.presses = 1;
    empty.pass(0);
    CHECK(empty.off() == 1);
}
