// SPDX-License-Identifier: Apache-2.0
// The store outlives its process: death at every single store to the arenas, and damaged arenas.
#include "services/xenstore-stubdom/journal.hpp"

#include <cstring>
#include <functional>
#include <optional>

#include "test/unit/xenstore/harness.hpp"

using namespace bulkhead::xenstore;
using namespace bulkhead::xenstore::test;

namespace {

struct Died {};

// Memory whose owner dies after a given number of stores, each of at most eight bytes.
class MortalArena final : public ArenaMemory {
  public:
    MortalArena(std::vector<char>& bytes, long& steps_left) : bytes_(bytes), steps_left_(steps_left) {}
    std::size_t size() const override { return bytes_.size(); }
    const char* data() const override { return bytes_.data(); }
    void write(std::size_t offset, const void* from, std::size_t size) override {
        REQUIRE(offset + size <= bytes_.size());
        for (std::size_t i = 0; i < size; i += 8) {
            step();
            std::memcpy(&bytes_[offset + i], static_cast<const char*>(from) + i,
                        std::min<std::size_t>(8, size - i));
        }
    }
    void publish(std::size_t offset, std::uint64_t value) override {
        step();
        std::memcpy(&bytes_[offset], &value, sizeof value);
    }

  private:
    void step() {
        if (steps_left_-- <= 0) throw Died();
    }
    std::vector<char>& bytes_;
    long& steps_left_;
};

// What the supervisor keeps, and one life of the service on it.
struct Kept {
    explicit Kept(std::size_t size) : first(size), second(size) {}
    std::vector<char> first, second;
};

struct Life {
    Life(Kept& kept, long steps)
        : steps_left(steps),
          a(kept.first, steps_left),
          b(kept.second, steps_left),
          journal(a, b),
          store({}, &journal) {}
    Recovery start() {
        const Recovery recovery = store.start();
        dom0.emplace(store, service, 0, Rights::toolstack());
        one.emplace(store, service, 1, Rights::guest());
        return recovery;
    }
    std::string dump() {
        std::string out;
        store.dump(out);
        std::string finding;
        CHECK(store.check(finding));
        CHECK(finding == "OK");
        return out;
    }

    long steps_left;
    MortalArena a, b;
    Journal journal;
    Store store;
    Service service{store};
    std::optional<Client> dom0, one;
};

constexpr long kForever = 1L << 60;

using Step = std::function<std::string(Life&)>;

// Everything that is durable, in an order that exercises it. Each must succeed.
std::vector<Step> script() {
    const auto dom0 = [](Op op, std::string payload) {
        return Step([=](Life& life) { return life.dom0->ask(op, payload); });
    };
    const auto one = [](Op op, std::string payload) {
        return Step([=](Life& life) { return life.one->ask(op, payload); });
    };
    const auto transaction = [](std::string name) {
        return Step([=](Life& life) {
            Client& c = *life.one;
            const TxId tx = c.begin();
            c.write(name + "/state", "1", tx);
            c.write(name + "/ring", "8", tx);
            c.rm("gone", tx);
            return c.end(tx);
        });
    };
    return {
        dom0(Op::introduce, "1|77|3|"),
        dom0(Op::mkdir, "/local/domain/1|"),
        dom0(Op::set_perms, "/local/domain/1|n1|r2|"),
        one(Op::write, "data/deep/value|first"),
        one(Op::watch, "device|token 1|"),
        one(Op::watch, "/local/domain/1/control|token 2|3|"),
        dom0(Op::watch, "@releaseDomain|r|"),
        one(Op::write, "gone/child|x"),
        transaction("device/vbd"),
        one(Op::write, "data/deep/value|a second, longer value than before"),
        dom0(Op::introduce, "2|78|4|"),
        dom0(Op::set_target, "2|1|"),
        one(Op::unwatch, "device|token 1|"),
        dom0(Op::write, "/local/domain/2/name|two"),
        dom0(Op::set_perms, "/local/domain/2|n2|"),
        one(Op::rm, "data/deep|"),
        dom0(Op::set_perms, "@introduceDomain|n0|r1|"),
        dom0(Op::control, "quota|set|watches|64|"),
        dom0(Op::release, "2|"),
        transaction("device/vif"),
        one(Op::reset_watches, "|"),
        dom0(Op::rm, "/local/domain/1|"),
    };
}

std::string recovered(Kept kept) {
    Life next(kept, kForever);
    const Recovery recovery = next.store.start();
    CHECK(recovery.outcome == Recovery::Outcome::intact);
    CHECK(recovery.note.empty());
    return next.dump();
}

}  // namespace

TEST_CASE("what was committed is there in the next life") {
    Kept kept(16 * 1024);
    std::string before;
    {
        Life life(kept, kForever);
        CHECK(life.start().outcome == Recovery::Outcome::fresh);
        for (const Step& step : script()) {
            const std::string reply = step(life);
            CHECK(reply == "OK|");
            CHECK(recovered(kept) == life.dump());
        }
        before = life.dump();
    }
    Life next(kept, kForever);
    CHECK(next.store.start().outcome == Recovery::Outcome::intact);
    CHECK(next.dump() == before);
}

TEST_CASE("death at any store loses nothing that was acknowledged and invents nothing") {
    const std::vector<Step> steps = script();
    std::size_t deaths = 0;
    for (std::size_t i = 0; i < steps.size(); ++i) {
        // Everything up to step i, then step i itself, dying one store later each time.
        for (long allowed = 0;; ++allowed) {
            Kept kept(8 * 1024);
            Life life(kept, kForever);
            life.start();
            for (std::size_t k = 0; k < i; ++k) steps[k](life);
            const std::string before = life.dump();
            life.steps_left = allowed;
            bool died = false;
            try {
                const std::string reply = steps[i](life);
                CHECK(reply == "OK|");
            } catch (const Died&) {
                died = true;
                ++deaths;
            }
            const std::string after = recovered(kept);
            if (died)
                CHECK(after == before);  // the commit word is the last store of a step
            else
                CHECK(after == life.dump());
            if (!died) break;
        }
    }
    CHECK(deaths > 200);
}

TEST_CASE("death at any store of a checkpoint leaves one arena good") {
    const auto write_nth = [](Life& life, int n) {
        return life.dom0->write("/a/b" + std::to_string(n % 5),
                                std::string(static_cast<std::size_t>(n % 60), 'x'));
    };
    // Which writes fill the log, so that a checkpoint takes its place?
    std::vector<int> filling;
    {
        Kept kept(Arena::kMinimum);
        Life life(kept, kForever);
        life.start();
        for (int n = 0; filling.size() < 3; ++n) {
            const std::uint64_t before = life.journal.checkpoints();
            CHECK(write_nth(life, n) == "OK|");
            if (life.journal.checkpoints() != before) filling.push_back(n);
        }
    }
    std::size_t deaths = 0;
    for (const int last : filling) {
        for (long allowed = 0;; ++allowed) {
            Kept kept(Arena::kMinimum);
            Life life(kept, kForever);
            life.start();
            for (int n = 0; n < last; ++n) write_nth(life, n);
            const std::string before = life.dump();
            life.steps_left = allowed;
            bool died = false;
            try {
                write_nth(life, last);
            } catch (const Died&) {
                died = true;
                ++deaths;
            }
            CHECK(recovered(kept) == (died ? before : life.dump()));
            if (!died) break;
        }
    }
    CHECK(deaths > 100);
}

TEST_CASE("death during recovery itself is survived") {
    Kept kept(8 * 1024);
    std::string expected;
    {
        Life life(kept, kForever);
        life.start();
        for (std::size_t i = 0; i < 10; ++i) script()[i](life);
        expected = life.dump();
    }
    for (long allowed = 0;; ++allowed) {
        Kept copy = kept;
        bool died = false;
        {
            Life dying(copy, allowed);
            try {
                dying.store.start();
            } catch (const Died&) {
                died = true;
            }
        }
        CHECK(recovered(copy) == expected);
        if (!died) break;
        REQUIRE(allowed < 5000);
    }
}

TEST_CASE("a full log becomes a checkpoint, again and again, in bounded memory") {
    Kept kept(8 * 1024);
    Life life(kept, kForever);
    life.start();
    for (int i = 0; i < 3000; ++i)
        CHECK(life.dom0->write("/n" + std::to_string(i % 7), std::to_string(i)) == "OK|");
    CHECK(life.journal.checkpoints() > 10);
    CHECK(life.journal.checkpoints() < 100);
    CHECK(recovered(kept) == life.dump());
}

TEST_CASE("a store that would not fit its arenas is refused before anything changes") {
    Kept kept(8 * 1024);
    Life life(kept, kForever);
    life.start();
    CHECK(life.dom0->ask(Op::introduce, "1|1|1|") == "OK|");
    CHECK(life.dom0->write("/local/domain/1", "") == "OK|");
    CHECK(life.dom0->ask(Op::set_perms, "/local/domain/1|n1|") == "OK|");
    int guest = 0, dom0 = 0;
    while (life.one->write("n" + std::to_string(guest), std::string(100, 'x')) == "OK|") ++guest;
    CHECK(guest > 10);
    CHECK(life.one->write("n0", std::string(1000, 'x')) == "ENOSPC");
    CHECK(life.one->ask(Op::watch, "n0|" + std::string(500, 't') + "|") == "ENOSPC");
    const TxId tx = life.one->begin();
    CHECK(life.one->write("new", std::string(1000, 'x'), tx) == "OK|");
    CHECK(life.one->end(tx) == "ENOSPC");
    // The toolstack has room that guests cannot take.
    while (life.dom0->write("/d" + std::to_string(dom0), std::string(50, 'x')) == "OK|") ++dom0;
    CHECK(dom0 >= 3);
    CHECK(recovered(kept) == life.dump());
    CHECK(life.one->rm("n0") == "OK|");
    CHECK(life.one->rm("n1") == "OK|");
    CHECK(recovered(kept) == life.dump());
}

TEST_CASE("watches and clients come back; an open transaction ends with EAGAIN") {
    Kept kept(16 * 1024);
    TxId open{};
    {
        Life life(kept, kForever);
        life.start();
        CHECK(life.dom0->ask(Op::introduce, "1|1|1|") == "OK|");
        CHECK(life.dom0->ask(Op::mkdir, "/local/domain/1|") == "OK|");
        CHECK(life.dom0->ask(Op::set_perms, "/local/domain/1|n1|") == "OK|");
        CHECK(life.one->ask(Op::watch, "device|t|") == "OK|");
        CHECK(life.dom0->ask(Op::watch, "/local|dom0|") == "OK|");
        open = life.one->begin();
        CHECK(life.one->write("x", "lost", open) == "OK|");
    }
    Life next(kept, kForever);
    CHECK(next.store.start().outcome == Recovery::Outcome::intact);
    Client one(next.store, next.service, 7, Rights::guest());
    one.use(next.store.attach(SessionKey{101}, DomId{1}, Rights::guest(), Store::Attach::resumed));
    CHECK(one.events() == Events{"device|t|"});  // what was pending may be lost: look again
    CHECK(one.write("y", "1", open) == "OK|");
    CHECK(one.read("x", open) == "ENOENT");
    CHECK(one.end(open) == "EAGAIN");
    CHECK(one.end(open, "F|") == "OK|");
    CHECK(one.read("y") == "ENOENT");
    const TxId fresh = one.begin();
    CHECK(fresh != open);
    CHECK(one.write("device/z", "1", fresh) == "OK|");
    CHECK(one.end(fresh) == "OK|");
    CHECK(one.events() == Events{"device/z|t|"});
    CHECK(one.read("x", TxId{0x7f000001}) == "ENOENT");
    // A request that is sent again because its reply was lost.
    const Request again{Op::watch, {}, "device\0t\0"sv, true};
    CHECK(next.service.handle(one.session(), again).op == Op::watch);
    // A client that starts anew leaves its old watches behind.
    one.use(next.store.attach(SessionKey{101}, DomId{1}, Rights::guest(), Store::Attach::fresh));
    CHECK(one.ask(Op::unwatch, "device|t|") == "ENOENT");
}

TEST_CASE("each single damaged byte is noticed and never believed") {
    Kept kept(Arena::kMinimum);
    std::vector<std::string> history;
    {
        Life life(kept, kForever);
        life.start();
        history.push_back("");
        for (std::size_t i = 0; i < 12; ++i) {
            script()[i](life);
            history.push_back(life.dump());
        }
    }
    std::size_t salvaged = 0;
    for (std::size_t i = 0; i < 2 * Arena::kMinimum; ++i) {
        Kept copy = kept;
        char& byte = i < Arena::kMinimum ? copy.first[i] : copy.second[i - Arena::kMinimum];
        byte = static_cast<char>(byte ^ 0x20);
        Life life(copy, kForever);
        const Recovery recovery = life.store.start();
        std::string now;
        life.store.dump(now);
        if (recovery.outcome == Recovery::Outcome::intact) {
            CHECK(now == history.back());
        } else {
            ++salvaged;
            CHECK(!recovery.note.empty());
        }
        // Whatever was kept is sound, and goes on.
        std::string finding;
        CHECK(life.store.check(finding));
        CHECK(recovered(copy) == now);
    }
    CHECK(salvaged > 500);
}

TEST_CASE("arenas full of noise are refused, not followed") {
    std::uint64_t seed = 12345;
    for (int round = 0; round < 200; ++round) {
        Kept kept(Arena::kMinimum);
        for (std::vector<char>* bytes : {&kept.first, &kept.second})
            for (char& c : *bytes) {
                seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
                c = static_cast<char>(seed >> 56);
            }
        Life life(kept, kForever);
        const Recovery recovery = life.store.start();
        CHECK(recovery.outcome == Recovery::Outcome::salvaged);
        CHECK(life.dump().find("/tool/xenstored") != std::string::npos);
    }
}

TEST_CASE("restarts renew the promise many times") {
    Kept kept(16 * 1024);
    std::string expected;
    for (int life_number = 0; life_number < 300; ++life_number) {
        Life life(kept, kForever);
        life.store.start();
        if (life_number > 0) CHECK(life.dump() == expected);
        Client dom0(life.store, life.service, 0, Rights::toolstack());
        CHECK(dom0.write("/n" + std::to_string(life_number % 20), std::to_string(life_number)) == "OK|");
        const TxId tx = dom0.begin();
        CHECK(dom0.write("/t", std::to_string(life_number), tx) == "OK|");
        CHECK(dom0.end(tx) == "OK|");
        expected = life.dump();
    }
}
