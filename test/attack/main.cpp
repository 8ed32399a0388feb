// SPDX-License-Identifier: Apache-2.0
// A root task that lets an attacker loose beside a victim, life after life, and looks after each that nothing
// of it is left and that the victim has not noticed. Command line: attack.tries=N attack.seed=N. Ends with
// `ATTACK ok …` or `FAILED …`.
#include <cstdio>
#include <cstring>

#include "test/attack/attacker.hpp"
#include "test/attack/victim.hpp"

namespace bulkhead::attack {
namespace {

namespace sys = cap::sys;
namespace map = abi::map;
namespace rights = abi::rights;
using abi::ObjectType;
using cap::CapAddr;
using stage::Side;

constexpr uint64_t kTriesPerLife = 4000;
constexpr uint64_t kTag = 300;

struct Counts {
    uint64_t count[abi::kObjectTypes], bytes[abi::kObjectTypes];
};
Counts counts() {
    stage::require(sys::inspect_counts(stage::kInspect), "counting objects");
    Counts c;
    std::memcpy(&c, cap::ipc_buffer().data, sizeof c);
    return c;
}

// What all lives share: where their faults arrive, the interrupt that they play with.
struct Watch {
    cap::Cap<cap::Endpoint> faults;
    cap::Cap<cap::Reply> reply;
    CapAddr irq;
    uint64_t millisecond;
    unsigned cpu;
    bool succeeded[abi::kCallLimit] = {};
};

class Attacker {
  public:
    Attacker(Watch& watch, bool rich, uint64_t seed);
    // Lets it run until its tries are used up or it cannot go on; returns how many it made.
    uint64_t live();
    std::string last_try() const;

  private:
    void give_memory();
    void give_objects();
    void give_vcpu();
    volatile uint64_t& tries() { return control_->tries; }

    Watch& watch_;
    Side side_;
    Control* control_;
    CapAddr state_frame_;
};

Attacker::Attacker(Watch& watch, bool rich, uint64_t seed)
    : watch_{watch}, side_{{.tag = kTag, .priority = 10, .cpu = watch.cpu, .memory_bits = 23}} {
    control_ = static_cast<Control*>(side_.page(Side::kShared, map::kRead | map::kWrite));
    control_->seed = seed;
    control_->most = kTriesPerLife;
    control_->buffer = Side::kBuffer;
    control_->routine = side_.address_there(side_attack);
    side_.give(slot::kCNode, side_.cnode());
    if (rich) {
        give_memory();
        give_objects();
    }
    stage::require(sys::thread_set(side_.thread(), abi::ThreadSlot::FaultEndpoint, watch.faults.address()),
                   "the attacker's fault handler");
    side_.start(side_attack, Side::kShared, 0);
}

void Attacker::give_memory() {
    side_.hand(slot::kUntyped, side_.make(ObjectType::Untyped, 20));
    side_.hand(slot::kFrame, side_.make(ObjectType::Frame, abi::kPageBits));
    side_.hand(slot::kLargeFrame, side_.make(ObjectType::Frame, abi::kLargePageBits));
    for (unsigned level = 1; level <= 3; ++level)
        side_.hand(slot::kTable1 + level - 1,
                   side_.make(ObjectType::PageTable, abi::table_size_arg(abi::TableKind::Host, level)));
    side_.hand(slot::kGuestTable,
               side_.make(ObjectType::PageTable, abi::table_size_arg(abi::TableKind::Guest, 3)));
    static_cast<void>(side_.page(Side::kShared + abi::kPageSize, map::kRead | map::kWrite, &state_frame_));
    side_.give(slot::kStatePage, state_frame_);
    control_->state_page = Side::kShared + abi::kPageSize;
}

void Attacker::give_objects() {
    side_.give(slot::kVSpace, side_.vspace());
    side_.give(slot::kThread, side_.thread());
    side_.give(slot::kSched, side_.sched());
    side_.give(slot::kLog, cap::kOwnLog, rights::kWrite | rights::kDerive);
    side_.give(slot::kKernelInfo, CapAddr{0, abi::root::kKernelInfo});
    side_.hand(slot::kInnerCNode, side_.make(ObjectType::CNode, 4));
    const CapAddr thread = side_.make(ObjectType::Thread), sched = side_.make(ObjectType::SchedContext);
    stage::require(sys::sched_configure(stage::kSchedControl, sched, watch_.cpu, 10, abi::kWeightDefault, 0),
                   "configuring the attacker's second SchedContext");
    stage::require(sys::thread_set(thread, abi::ThreadSlot::FaultEndpoint, watch_.faults.address()),
                   "the fault handler of its second thread");
    stage::require(sys::thread_set(thread, abi::ThreadSlot::CSpace, side_.cnode()),
                   "the CSpace of its second thread");
    stage::require(sys::thread_set(thread, abi::ThreadSlot::VSpace, side_.vspace()),
                   "the VSpace of its second thread");
    stage::require(sys::thread_set(thread, abi::ThreadSlot::SchedContext, sched),
                   "the SchedContext of its second thread");
    side_.hand(slot::kOtherThread, thread);
    side_.hand(slot::kOtherSched, sched);
    const CapAddr endpoint = side_.make(ObjectType::Endpoint);
    side_.give(slot::kMintedEndpoint, endpoint, rights::kAll, 77);
    side_.hand(slot::kEndpoint, endpoint);
    side_.hand(slot::kReply, side_.make(ObjectType::Reply));
    side_.give(slot::kNotification, side_.make(ObjectType::Notification), rights::kAll, 5);
    if (stage::machine().env.kernel.virt_kind != 0) give_vcpu();
    if (!watch_.irq.is_null()) side_.give(slot::kIrq, watch_.irq);
    const CapAddr ports = side_.slot();
    stage::require(sys::ioport_mint(ports, CapAddr{0, abi::root::kIoPorts}, 0x80, 4), "the attacker's ports");
    side_.hand(slot::kPorts, ports);
}

// Ready to run, so that random changes of its state meet a vCPU that enters.
void Attacker::give_vcpu() {
    const CapAddr vcpu = side_.make(ObjectType::Vcpu),
                  root = side_.make(ObjectType::PageTable, abi::table_size_arg(abi::TableKind::Guest, 4));
    stage::require(sys::vcpu_set(vcpu, abi::VcpuSlot::StatePage, state_frame_), "the attacker's state page");
    stage::require(sys::vcpu_set(vcpu, abi::VcpuSlot::GuestRoot, root), "the attacker's guest memory");
    side_.hand(slot::kGuestRoot, root);
    side_.hand(slot::kVcpu, vcpu);
}

// A thread that waits for ever is pushed on by suspend and resume; a second time, or after a fault, its life
// is over.
uint64_t Attacker::live() {
    uint64_t seen = 0;
    bool pushed = false;
    for (;;) {
        const cap::IpcResult fault = sys::ipc_recv(watch_.faults.address(), watch_.reply.address(),
                                                   __builtin_ia32_rdtsc() + watch_.millisecond);
        const uint64_t now = tries();
        if (fault.ok() || now >= kTriesPerLife || (now <= seen && pushed)) break;
        pushed = now <= seen;
        if (pushed) {
            cap::drop(sys::thread_suspend(side_.thread()));
            cap::drop(sys::thread_resume(side_.thread()));
        }
        seen = now;
    }
    for (unsigned n = 0; n < abi::kCallLimit; ++n) watch_.succeeded[n] |= control_->ok[n] != 0;
    return tries() < kTriesPerLife ? tries() : kTriesPerLife;
}

std::string Attacker::last_try() const {
    std::string text = "its last try was call " + std::to_string(control_->last[0]);
    for (unsigned i = 1; i < 7; ++i) text += ' ' + std::to_string(control_->last[i]);
    return text;
}

class Trial {
  public:
    explicit Trial(uint64_t seed) : seed_{seed} {
        cap::Environment& env = stage::machine().env;
        auto faults = env.memory.create<cap::Endpoint>();
        auto reply = env.memory.create<cap::Reply>();
        const auto irq = env.cspace.slots().allocate();
        if (!faults || !reply || !irq) stage::fail("no memory for the trial");
        watch_.faults = std::move(*faults);
        watch_.reply = std::move(*reply);
        watch_.irq =
            sys::irq_claim(CapAddr{0, abi::root::kIrqControl}, 10, abi::kIrqEdge, *irq) == cap::Status::Ok
                ? *irq
                : CapAddr{};
        watch_.millisecond = env.kernel.tsc_khz;
        watch_.cpu = env.kernel.cpus > 1 ? 1 : 0;
    }

    // Lives of one kind until `share` tries are made.
    void run(bool rich, uint64_t share) {
        warm_ = 0;
        for (uint64_t made = 0; made < share; ++lives_) {
            const uint64_t seed = seed_ + lives_;
            std::string last;
            {
                Attacker attacker{watch_, rich, seed};
                made += attacker.live();
                last = attacker.last_try();
            }
            check(rich, seed, last);
        }
        tries_ += share;
        if (const char* wrong = victim_.check_caps())
            stage::fail(std::string{"ATTACK: the victim: "} + wrong);
        tell(rich);
    }
    void finish() {
        char line[120];
        std::snprintf(line, sizeof line, "ATTACK ok seed=%llu tries=%llu lives=%llu",
                      static_cast<unsigned long long>(seed_), static_cast<unsigned long long>(tries_),
                      static_cast<unsigned long long>(lives_));
        cap::log_line(line);
    }

  private:
    // The first lives may grow what the root task itself keeps (its heap, its page tables); after that,
    // counts are equal.
    void check(bool rich, uint64_t seed, const std::string& last) {
        const std::string who = std::string{"ATTACK: after the attacker "} +
                                (rich ? "with one of each" : "with nothing") + " of seed " +
                                std::to_string(seed) + " (" + last + "): ";
        if (const char* wrong = victim_.check()) stage::fail(who + "the victim: " + wrong);
        stage::require(sys::null_call(), "a null system call after the attack");
        const Counts now = counts();
        if (warm_ < kWarmLives) {
            before_ = now;
            ++warm_;
        }
        for (unsigned type = 0; type < abi::kObjectTypes; ++type)
            if (now.count[type] != before_.count[type] || now.bytes[type] != before_.bytes[type])
                stage::fail(who + "objects of type " + std::to_string(type) + " were " +
                            std::to_string(before_.count[type]) + ", are " + std::to_string(now.count[type]));
    }
    void tell(bool rich) {
        unsigned kinds = 0;
        for (const bool yes : watch_.succeeded) kinds += yes;
        cap::log_line(std::string{"ATTACK with "} + (rich ? "one of each" : "nothing") + ": " +
                      std::to_string(lives_) + " lives so far, " + std::to_string(kinds) +
                      " kinds of calls have succeeded");
    }

    static constexpr unsigned kWarmLives = 4;
    uint64_t seed_, tries_ = 0, lives_ = 0;
    Victim victim_;
    Watch watch_;
    Counts before_{};
    unsigned warm_ = 0;
};

}  // namespace
}  // namespace bulkhead::attack

int main() {
    using namespace bulkhead;
    const stage::Machine& machine = stage::machine();
    const uint64_t tries = machine.option("attack.tries", 100'000);
    static attack::Trial trial{machine.option("attack.seed", 1)};
    trial.run(false, tries / 2);
    trial.run(true, tries - tries / 2);
    trial.finish();
    for (;;) cap::drop(cap::sys::thread_suspend(cap::kMainThread));
}
