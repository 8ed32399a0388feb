// SPDX-License-Identifier: Apache-2.0
#include "test/unit/kernel/consistency.hpp"

#include <map>
#include <set>

#include "test/unit/kernel/fake_arch.hpp"

namespace bulkhead::fake {

using core::Slot;
using core::ThreadState;

namespace {

struct Survey {
    std::map<const core::Object*, unsigned> refs;
    std::set<const Slot*> slots;
    std::set<core::Object*> dying;
    std::set<core::Thread*> threads;
    std::string wrong;

    void fail(const std::string& what) {
        if (wrong.empty()) wrong = what;
    }
    void add(const Slot& s) {
        if (s.empty()) return;
        slots.insert(&s);
        // A zombie's object has no references left.
        if (const core::Object* o = core::object_of(s); o != nullptr)
            refs[o] += (s.flags & core::kSlotZombie) != 0 ? 0 : 1;
        if ((s.flags & core::kSlotZombie) != 0) add_dying(*s.as<core::Object>());
        if (s.type == abi::ObjectType::Thread) threads.insert(core::Thread::from(s.as<core::Object>()));
    }
    // Slots in containers whose destruction was interrupted, and in those that it found inside.
    void add_dying(core::Object& o) {
        using enum abi::ObjectType;
        if ((o.type != CNode && o.type != Thread && o.type != Vcpu && o.type != IrqHandler) ||
            !dying.insert(&o).second)
            return;
        add_slots(o);
        for (core::Object* p = o.pending; p != nullptr; p = p->next) {
            if (p->refs != 0) fail("a pending object has references");
            add_dying(*p);
        }
    }
    void add_slots(core::Object& o) {
        uint64_t count = 0;
        const Slot* s = core::container_slots(o, &count);
        for (uint64_t i = 0; i < count; ++i) add(s[i]);
    }
    void collect() {
        const core::Object* before = nullptr;
        for (core::Object* c = core::sys.containers; c != nullptr; c = c->next) {
            if (before != nullptr && before->id >= c->id)
                fail("containers are not in the order of their ids");
            if (c->previous != before) fail("the list of containers is broken");
            before = c;
            add_slots(*c);
        }
    }
    void check_tree();
    void check_mapping(const Slot& s);
    void check_thread(core::Thread& t);
    void check_cpu(const core::Cpu& cpu);
};

void Survey::check_tree() {
    for (const Slot* s : slots) {
        if (s->parent != nullptr) {
            bool found = false;
            for (const Slot* c = s->parent->first_child; c != nullptr; c = c->next) found = found || c == s;
            if (!found) fail("a slot is not among its parent's children");
        }
        const Slot* before = nullptr;
        for (const Slot* c = s->first_child; c != nullptr; c = c->next) {
            if (c->parent != s || c->previous != before || c->empty()) fail("a list of children is broken");
            before = c;
        }
        if (s->type == abi::ObjectType::Untyped && s->badge > uint64_t{1} << s->size_bits)
            fail("a watermark is beyond the end");
        check_mapping(*s);
    }
}

void Survey::check_mapping(const Slot& s) {
    if ((s.type != abi::ObjectType::Frame && s.type != abi::ObjectType::PageTable) || s.mapping == 0) return;
    auto& table = *reinterpret_cast<core::PageTable*>(
        static_cast<char*>(arch::phys_to_virt(PhysAddr{s.mapping & ~uint64_t{4095}})) + 4096);
    const unsigned index = s.mapping & 0xfff;
    const uint64_t back = table.back_low[index] | uint64_t{table.back_high[index]} << 32;
    if (back << 6 != arch::virt_to_phys(&s).raw)
        fail("a page table's back-pointer does not name the slot that is mapped");
    if ((table.entries()[index] & 1) == 0) fail("a slot says that it is mapped where nothing is");
}

void Survey::check_thread(core::Thread& t) {
    const bool runnable =
        t.state == ThreadState::Ready && t.suspended == 0 && t.sched != nullptr && t.root != nullptr;
    const bool known = t.running_on() != nullptr || t.ready_linked != 0;
    if (runnable != known)
        fail(runnable ? "a thread that could run is in no queue"
                      : "a thread that cannot run is in a ready queue or on a CPU");
    if (t.running_on() != nullptr && (t.running_on()->current != &t || t.ready_linked != 0))
        fail("a running thread is queued, or not its CPU's");
    if (t.state == ThreadState::Replying && t.reply->thread != &t) fail("a caller's Reply does not know it");
    if (t.state == ThreadState::Receiving && t.reply->thread != &t)
        fail("a receiver's Reply does not know it");
    if ((t.has_root != 0) != (t.root != nullptr)) fail("has_root is not what it says");
    if (t.timer.armed() && t.timed == 0) fail("a deadline is armed that nobody would disarm");
    if (t.guest != nullptr && t.guest->thread != &t) fail("a vCPU does not know the thread that runs it");
    if (t.guest != nullptr && t.state != ThreadState::Ready) fail("a thread waits and runs a guest");
    if (t.timer.armed() && t.state != ThreadState::Receiving && t.state != ThreadState::Waiting &&
        t.guest == nullptr)
        fail("a deadline outlived its wait");
    if (t.bound != nullptr && t.bound->bound_thread != &t)
        fail("a bound notification does not know its thread");
}

void Survey::check_cpu(const core::Cpu& cpu) {
    if (cpu.need_schedule != 0 && state.resched[cpu.id] == 0)
        fail("a CPU should schedule, but nobody told it");
    for (unsigned p = 0; p < abi::kPriorities; ++p) {
        const core::SchedContext* first = cpu.ready.ring[p];
        if ((first != nullptr) != ((cpu.ready.bitmap >> p & 1) != 0)) fail("the priority bitmap is wrong");
        const core::SchedContext* s = first;
        while (s != nullptr) {
            if (s->next->previous != s || s->priority != p || s->cpu != cpu.id || s->queued == 0 ||
                s->paused != 0 || s->throttled != 0 || s->ready_head == nullptr)
                fail("a ring of SchedContexts is broken");
            s = s->next != first ? s->next : nullptr;
        }
    }
}

}  // namespace

std::string find_inconsistency() {
    Survey survey;
    survey.collect();
    for (const auto& [object, refs] : survey.refs) {
        if (object->refs != refs) survey.fail("a reference count is wrong");
    }
    survey.check_tree();
    for (core::Thread* t : survey.threads) {
        if (t->header.dying == 0) survey.check_thread(*t);
    }
    for (uint32_t i = 0; i < core::sys.cpus; ++i) survey.check_cpu(*core::sys.cpu[i]);
    if (!tlbs_are_fresh()) survey.fail("a TLB holds a stale translation");
    if (core::sys.tlb.pending()) survey.fail("stale translations wait for a flush");
    return survey.wrong;
}

}  // namespace bulkhead::fake
