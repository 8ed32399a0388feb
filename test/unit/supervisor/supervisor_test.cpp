// SPDX-License-Identifier: Apache-2.0
// The supervisor's life on a fake kernel: the test plays everybody who talks to its mailbox.
#include "toolstack/supervisor/supervisor.hpp"

#include <catch2/catch.hpp>
#include <random>

#include "test/unit/supervisor/world.hpp"

using namespace supervisor_test;
using abi::SpawnCall;

namespace {

constexpr uint32_t kMemorySlot = 101;  // dom0's memory for spawns, in our root CNode

Manifest two_services_and_a_template() {
    Manifest manifest;
    manifest.services = {service("console", 2), service("dom0", 0)};
    manifest.services[0].accepts = "console";
    manifest.services[0].grants = {{GrantType::Keep, "scrollback", 0, 64}};
    manifest.services[1].connects = {{"console", true}};
    manifest.services[1].grants = {{GrantType::Spawn, "spawn"}};
    DomainSpec vmm = service("vmm", 0);
    vmm.accepts = "control";
    vmm.connects = {{"console", false}};
    vmm.vcpu_priority = 16;
    vmm.vcpus_max = 4;
    manifest.templates = {vmm};
    return manifest;
}

struct Finished {};  // thrown out of run() when the test has nothing more to say

struct Life {
    struct Call {
        uint64_t badge, label;
        std::vector<uint64_t> words;
        std::vector<uint32_t> caps;  // root slots, moved to the supervisor
    };

    World world{two_services_and_a_template()};
    std::unique_ptr<Supervisor> supervisor;
    std::optional<Call> pending;
    std::vector<uint64_t> reply;  // words of the last answer; empty: none came
    uint64_t reply_label = 0;
    unsigned reply_caps = 0;
    uint64_t deadline = 0;
    bool spin = false;  // let time pass until no restart is due

    Life() {
        world.kernel.talk = [this](abi::Call number, cap::RawCall& c) { return talk(number, c); };
        supervisor = Supervisor::create(*world.stock).value();
        supervisor->reserve_services();
        supervisor->start_services();
        give_memory();
    }
    void give_memory() { world.kernel.give(kMemorySlot, ObjectType::Untyped, 24, 32 << 20); }

    Status talk(abi::Call number, cap::RawCall& c) {
        abi::IpcBuffer& buffer = cap::ipc_buffer();
        if (number == abi::Call::IpcReply) {
            const abi::MessageTag tag{c.a[1]};
            reply.assign(c.a + 2, c.a + 6);
            for (unsigned i = 4; i < tag.words(); i++) reply.push_back(buffer.words[i]);
            reply_label = tag.label();
            reply_caps = tag.caps();
            return Status::Ok;
        }
        if (number != abi::Call::IpcRecv) return Status::NoSuchCall;
        deadline = c.deadline;
        if (!pending) {
            if (spin && deadline != abi::kDeadlineNever) return Status::Timeout;
            throw Finished{};
        }
        const Call call = std::move(*pending);
        pending.reset();
        buffer.received = 0;
        for (const uint32_t slot : call.caps) {
            if (buffer.received == abi::kMessageCaps) break;
            if (world.kernel.move(buffer.receive_slots[buffer.received], CapAddr{0, slot}) != Status::Ok)
                break;
            buffer.received++;
        }
        const auto words = std::min<size_t>(call.words.size(), abi::kMessageWords);
        for (size_t i = 0; i < words; i++) (i < 4 ? c.a[2 + i] : buffer.words[i]) = call.words[i];
        for (size_t i = words; i < 4; i++) c.a[2 + i] = 0;
        c.a[0] = call.badge;
        c.a[1] =
            abi::MessageTag{call.label, static_cast<unsigned>(words), static_cast<unsigned>(call.caps.size())}
                .raw;
        return Status::Ok;
    }
    // One message, and its answer's status.
    Status say(uint64_t badge, uint64_t label, std::vector<uint64_t> words = {},
               std::vector<uint32_t> caps = {}) {
        reply.clear();
        pending = Call{badge, label, std::move(words), std::move(caps)};
        try {
            supervisor->run();
        } catch (const Finished&) {
        }
        return reply.empty() ? Status::PeerGone : static_cast<Status>(reply[0]);
    }
    Status spawn(SpawnCall call, std::vector<uint64_t> words = {}, std::vector<uint32_t> caps = {}) {
        return say(kFromSpawner, static_cast<uint64_t>(call), std::move(words), std::move(caps));
    }
    void let_time_pass() {
        spin = true;
        try {
            supervisor->run();
        } catch (const Finished&) {
        }
        spin = false;
    }
    void fault(uint32_t index) {
        abi::ThreadRegisters registers{};
        registers.rip = abi::kImageBase + 0x1010;
        registers.rbp = abi::kStackTop - 64;
        std::memcpy(cap::ipc_buffer().data, &registers, sizeof registers);
        (void)say(kFromDomain | index, abi::kFaultLabel, {registers.rip, 0, 6, 14});
    }
    static abi::SpawnRequest request(uint64_t tag = 9) {
        abi::SpawnRequest out{};
        std::strcpy(out.template_name, "vmm");
        std::strcpy(out.name, "guest");
        out.tag = tag;
        out.vcpus = 2;
        out.weight = 256;
        return out;
    }
    static std::vector<uint64_t> words_of(const abi::SpawnRequest& request) {
        std::vector<uint64_t> out((sizeof request + 7) / 8);
        std::memcpy(out.data(), &request, sizeof request);
        return out;
    }
    Status begin(const abi::SpawnRequest& r) { return spawn(SpawnCall::Begin, words_of(r)); }
    Status by_name(SpawnCall call, const char* name, uint64_t delay_ms = 0) {
        std::vector<uint64_t> words(5);
        words[0] = delay_ms;
        std::strncpy(reinterpret_cast<char*>(&words[1]), name, 31);
        return spawn(call, words);
    }
    std::string restart(const char* name) { return cap::describe(by_name(SpawnCall::Restart, name)); }
    // Tag, state, incarnation of the domain at an index of the list.
    std::optional<std::array<uint64_t, 3>> listed(uint64_t index) {
        if (spawn(SpawnCall::Domains, {index}) != Status::Ok) return std::nullopt;
        return std::array{reply[1], reply[2] & 0xff, reply[2] >> 8 & 0xffffff};
    }
    bool logged(const std::string& text) const { return world.kernel.log.find(text) != std::string::npos; }
};

uint64_t number(abi::DomainState state) {
    return static_cast<uint64_t>(state);
}

}  // namespace

TEST_CASE(
    "supervisor: services start, are listed, and one that faults comes back with the next incarnation") {
    Life life;
    INFO(life.world.kernel.log);
    CHECK(life.world.kernel.started.size() == 2);
    CHECK(life.listed(0) == std::array{uint64_t{2}, number(abi::DomainState::Running), uint64_t{0}});
    life.fault(0);
    CHECK(life.logged("supervisor: console died of a page fault at image+0x1010, address 0"));
    CHECK(life.logged("supervisor: restarting console"));
    CHECK(life.listed(0) == std::array{uint64_t{2}, number(abi::DomainState::Running), uint64_t{1}});
    CHECK(life.listed(1) == std::array{uint64_t{0}, number(abi::DomainState::Running), uint64_t{0}});
    CHECK_FALSE(life.listed(2));
    (void)life.say(kFromDomain | 0, abi::kExitLabel, {134});
    CHECK(life.logged("console ended with exit code 134 (it aborted"));
    CHECK_FALSE(life.reply.empty());  // a reply object in use would make the next receive fail
    CHECK(life.reply_label != abi::kFaultResume);
    CHECK(life.reply_label != abi::kFaultResumeRegs);
}

TEST_CASE(
    "supervisor: who dies again and again waits longer each time, then has failed, and can be asked to try "
    "again") {
    Life life;
    uint64_t last_wait = 0;
    for (int death = 1; death <= 9; death++) {
        life.fault(0);
        const auto now = life.listed(0);
        REQUIRE(now);
        if (death == 1) {
            CHECK((*now)[1] == number(abi::DomainState::Running));
        } else if (death <= 8) {
            CHECK((*now)[1] == number(abi::DomainState::Restarting));
            const uint64_t wait = life.deadline - cap::read_tsc();
            CHECK(wait > last_wait);
            last_wait = wait;
            life.let_time_pass();
        } else {
            CHECK((*now)[1] == number(abi::DomainState::Failed));
        }
    }
    CHECK(life.logged("`stubdom restart console` tries once more"));
    CHECK(life.deadline == abi::kDeadlineNever);
    CHECK(life.restart("console") == "no error");
    CHECK((*life.listed(0))[1] == number(abi::DomainState::Running));
}

TEST_CASE("supervisor: 200 restarts leave nothing behind, and what is kept is kept") {
    Life life;
    CHECK(life.restart("console") == "no error");
    const auto before = life.world.state();
    for (int i = 0; i < 200; i++) REQUIRE(life.restart(i % 3 ? "console" : "dom0") == "no error");
    CHECK(life.world.state() == before);
    for (int i = 0; i < 3; i++) {
        life.fault(1);
        life.let_time_pass();
    }
    CHECK(life.world.state() == before);
    CHECK(life.restart("vmm") == "no capability at this address");
    CHECK(life.restart("") == "no capability at this address");
}

TEST_CASE("supervisor: a spawned domain lives in the memory that was handed over and is gone with it") {
    Life life;
    auto cycle = [&] {
        REQUIRE(life.begin(Life::request()) == Status::Ok);
        const uint64_t handle = life.reply[1];
        REQUIRE(life.spawn(SpawnCall::Memory, {handle}, {kMemorySlot}) == Status::Ok);
        REQUIRE(life.spawn(SpawnCall::Finish, {handle}) == Status::Ok);
        CHECK(life.listed(2) == std::array{uint64_t{9}, number(abi::DomainState::Running), uint64_t{0}});
        CHECK(life.spawn(SpawnCall::Sched, {9, 0}) == Status::Ok);
        CHECK(life.reply[1] == 3);
        CHECK(life.reply_caps == 3);
        CHECK(life.spawn(SpawnCall::Control, {9}) == Status::Ok);
        CHECK(life.reply_caps == 1);
        CHECK(life.begin(Life::request()) == Status::Busy);
        CHECK(life.spawn(SpawnCall::Configure, {9, 1, 1 | 16 << 8 | 300 << 16, 0}) == Status::Ok);
        CHECK(life.spawn(SpawnCall::Configure, {9, 1, 1 | 17 << 8 | 300 << 16, 0}) ==
              Status::BadArgument);  // above the template's priority
        CHECK(life.spawn(SpawnCall::Configure, {9, 0, 1 | 16 << 8 | 300 << 16, 0}) ==
              Status::BadArgument);  // the main thread stays
        CHECK(life.spawn(SpawnCall::Configure, {9, 3, 0 | 16 << 8 | 300 << 16, 0}) == Status::NoCapability);
        CHECK(life.spawn(SpawnCall::Forget, {9}) == Status::Ok);
        CHECK_FALSE(life.listed(2));
        life.give_memory();
    };
    cycle();
    const auto before = life.world.state();
    for (int i = 0; i < 20; i++) cycle();
    CHECK(life.world.state() == before);
    CHECK(life.spawn(SpawnCall::Forget, {2}) == Status::NoCapability);  // services are not dom0's to forget
}

TEST_CASE("supervisor: a spawned domain that dies stays dead until it is forgotten") {
    Life life;
    REQUIRE(life.begin(Life::request()) == Status::Ok);
    const uint64_t handle = life.reply[1];
    REQUIRE(life.spawn(SpawnCall::Memory, {handle}, {kMemorySlot}) == Status::Ok);
    REQUIRE(life.spawn(SpawnCall::Finish, {handle}) == Status::Ok);
    life.fault(2);
    CHECK((*life.listed(2))[1] == number(abi::DomainState::Dead));
    CHECK(life.spawn(SpawnCall::Sched, {9, 0}) == Status::Ok);
    CHECK(life.reply_caps == 0);
    CHECK(life.spawn(SpawnCall::Control, {9}) == Status::NoCapability);
    life.fault(2);  // late news
    CHECK(life.spawn(SpawnCall::Forget, {9}) == Status::Ok);
}

// The first thing that a revoke of dom0's memory deletes is the supervisor's copy; what dom0 had no time for
// is still there.
TEST_CASE("supervisor: a domain whose memory was half taken back by a dom0 that died ends all the same") {
    Life life;
    constexpr uint32_t kChild = kMemorySlot + 1;
    fake::ObjectKernel& kernel = life.world.kernel;
    const auto before = life.world.state();
    REQUIRE(cap::sys::retype(CapAddr{0, kMemorySlot}, ObjectType::Untyped, 24, CapAddr{0, kChild}) ==
            Status::Ok);
    REQUIRE(life.begin(Life::request()) == Status::Ok);
    const uint64_t handle = life.reply[1];
    REQUIRE(life.spawn(SpawnCall::Memory, {handle}, {kChild}) == Status::Ok);
    REQUIRE(life.spawn(SpawnCall::Finish, {handle}) == Status::Ok);
    const size_t threads = kernel.count(ObjectType::Thread);
    const auto* memory = kernel.find(CapAddr{0, kMemorySlot});
    for (uint32_t slot = 0; slot < 65536; slot++)
        if (const auto* node = kernel.find(CapAddr{0, slot}); node && node->parent == memory) {
            REQUIRE(kernel.erase(CapAddr{0, slot}) == Status::Ok);
            break;
        }
    life.fault(2);
    CHECK((*life.listed(2))[1] == number(abi::DomainState::Dead));
    CHECK(kernel.count(ObjectType::Thread) < threads);
    CHECK(life.restart("dom0") == "no error");  // every slot that is free is empty
    CHECK(life.spawn(SpawnCall::Forget, {9}) == Status::Ok);
    CHECK(kernel.revoke(CapAddr{0, kMemorySlot}) == Status::Ok);
    CHECK(life.world.state() == before);
}

TEST_CASE("supervisor: who is killed dies when asked, as of a crash") {
    Life life;
    REQUIRE(life.begin(Life::request()) == Status::Ok);
    const uint64_t handle = life.reply[1];
    REQUIRE(life.spawn(SpawnCall::Memory, {handle}, {kMemorySlot}) == Status::Ok);
    REQUIRE(life.spawn(SpawnCall::Finish, {handle}) == Status::Ok);
    CHECK(life.by_name(SpawnCall::Kill, "guest", 5) == Status::Ok);
    CHECK((*life.listed(2))[1] == number(abi::DomainState::Running));
    CHECK(life.deadline != abi::kDeadlineNever);
    life.let_time_pass();
    CHECK((*life.listed(2))[1] == number(abi::DomainState::Dead));
    CHECK(life.logged("supervisor: guest is killed, as asked"));
    CHECK(life.by_name(SpawnCall::Kill, "guest") == Status::NotReady);
    CHECK(life.by_name(SpawnCall::Kill, "console", 60'001) == Status::BadArgument);
    CHECK(life.by_name(SpawnCall::Kill, "nobody") == Status::NoCapability);
    for (uint64_t death = 1; death <= 9; death++) {
        CHECK(life.by_name(SpawnCall::Kill, "console") == Status::Ok);
        life.let_time_pass();
        if (death < 9) CHECK((*life.listed(0))[2] == death);
    }
    CHECK((*life.listed(0))[1] == number(abi::DomainState::Failed));
    CHECK(life.by_name(SpawnCall::Kill, "dom0", 60'000) == Status::Ok);
    CHECK(life.restart("dom0") == "no error");
    CHECK(life.deadline == abi::kDeadlineNever);  // a new one is not the one that was meant
}

TEST_CASE("supervisor: spawn requests that make no sense are refused") {
    Life life;
    auto refused = [&](auto change) {
        abi::SpawnRequest r = Life::request();
        change(r);
        return life.begin(r);
    };
    CHECK(refused([](auto&) {}) == Status::Ok);
    CHECK(refused([](auto& r) { r.template_name[0] = 'x'; }) == Status::BadArgument);
    CHECK(refused([](auto& r) { std::memset(r.template_name, 'v', sizeof r.template_name); }) ==
          Status::BadArgument);
    CHECK(refused([](auto& r) { r.name[0] = 0; }) == Status::BadArgument);
    CHECK(refused([](auto& r) { r.name[1] = '/'; }) == Status::BadArgument);
    CHECK(refused([](auto& r) { std::memset(r.name, 'n', sizeof r.name); }) == Status::BadArgument);
    CHECK(refused([](auto& r) { r.tag = 0; }) == Status::BadArgument);
    CHECK(refused([](auto& r) { r.tag = 0x7ff0; }) == Status::BadArgument);
    CHECK(refused([](auto& r) { r.tag = 2; }) == Status::Busy);
    CHECK(refused([](auto& r) { r.vcpus = 0; }) == Status::BadArgument);
    CHECK(refused([](auto& r) { r.vcpus = 5; }) == Status::BadArgument);
    CHECK(refused([](auto& r) { r.weight = 65536; }) == Status::BadArgument);
    CHECK(refused([](auto& r) { r.kernel_offset = ~uint64_t{0}; }) == Status::BadArgument);
    CHECK(refused([](auto& r) { r.kernel_offset = 100, r.kernel_size = ~uint64_t{0} - 50; }) ==
          Status::BadArgument);
    CHECK(refused([](auto& r) { r.ramdisk_size = 1 << 30; }) == Status::BadArgument);
    CHECK(life.say(kFromSpawner | 1, static_cast<uint64_t>(SpawnCall::Domains)) == Status::NoRights);
    CHECK(life.say(0, static_cast<uint64_t>(SpawnCall::Domains)) == Status::NoRights);
    CHECK(life.say(kFromSpawner, 0x1234) == Status::NoSuchCall);
    CHECK(life.say(kFromDomain | 77, abi::kExitLabel) == Status::Ok);
}

TEST_CASE("supervisor: capabilities that are not memory, or too many, are dropped and cost nothing") {
    Life life;
    REQUIRE(life.begin(Life::request()) == Status::Ok);
    const uint64_t handle = life.reply[1];
    const auto before = life.world.state();
    life.world.kernel.give(110, ObjectType::Endpoint);
    CHECK(life.spawn(SpawnCall::Memory, {handle}, {110}) == Status::WrongType);
    life.world.kernel.give(111, ObjectType::Untyped, 24, 32 << 20).device = true;
    CHECK(life.spawn(SpawnCall::Memory, {handle}, {111}) == Status::BadArgument);
    life.world.kernel.give(112, ObjectType::Untyped, 16, 32 << 20);
    CHECK(life.spawn(SpawnCall::Memory, {handle}, {112}) == Status::OutOfMemory);
    CHECK(life.spawn(SpawnCall::Memory, {handle}) == Status::NoCapability);
    CHECK(life.spawn(SpawnCall::Memory, {handle + 1}, {kMemorySlot}) == Status::BadArgument);
    life.give_memory();
    CHECK(life.spawn(SpawnCall::Finish, {handle}) == Status::OutOfMemory);
    CHECK(life.world.state() == before);
}

TEST_CASE("supervisor: random calls with random capabilities do no harm and leave nothing") {
    Life life;
    std::mt19937_64 random{1};
    auto below = [&](uint64_t n) { return random() % n; };
    auto settle = [&] {  // everything of dom0's is gone
        (void)life.begin(Life::request());
        for (uint64_t tag = 1; tag < 16; tag++) (void)life.spawn(SpawnCall::Forget, {tag});
        (void)life.spawn(SpawnCall::Begin, std::vector<uint64_t>(16));
        for (const char* name : {"console", "dom0"}) (void)life.restart(name);
        for (uint32_t slot = 101; slot < 130; slot++) (void)life.world.kernel.erase(CapAddr{0, slot});
        return life.world.state();
    };
    (void)settle();
    uint64_t handle = 0;
    World::State first{};
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 4000; i++) {
            auto r = Life::request(1 + below(12));
            if (below(4) == 0)
                reinterpret_cast<uint8_t*>(&r)[below(sizeof r)] = static_cast<uint8_t>(random());
            std::vector<uint64_t> words = {below(2) ? handle : below(16), below(6), random(),
                                           below(3) ? 0 : random()};
            std::vector<uint32_t> caps;
            for (uint64_t n = below(5); n > 0; n--) {
                const auto slot = static_cast<uint32_t>(101 + below(8));
                if (!life.world.kernel.find(CapAddr{0, slot}) && below(3))
                    life.world.kernel.give(slot, below(8) ? ObjectType::Untyped : ObjectType::Endpoint, 22,
                                           (32 + 4 * (slot - 101)) << 20);
                if (std::find(caps.begin(), caps.end(), slot) == caps.end() &&
                    life.world.kernel.find(CapAddr{0, slot}))
                    caps.push_back(slot);
            }
            const uint64_t which = below(12);
            if (which == 0) {
                life.fault(static_cast<uint32_t>(below(8)));
            } else {
                const uint64_t label =
                    which == 11 ? random() & 0xffff : 0x5001 + (which < 4 ? which - 1 : below(9));
                const Status status =
                    label == 0x5001 ? life.begin(r) : life.say(kFromSpawner, label, words, caps);
                if (label == 0x5001 && status == Status::Ok) handle = life.reply[1];
            }
        }
        const World::State after = settle();
        if (round == 0)
            first = after;
        else
            CHECK(after == first);
    }
    CHECK((*life.listed(0))[1] == number(abi::DomainState::Running));
}
