// SPDX-License-Identifier: Apache-2.0
// Random operations on the capability space, by the kernel and by the model; after each, both must agree in
// every slot. Replay a failure: BULKHEAD_SEED=<seed> test_model; a longer run: BULKHEAD_MODEL_STEPS=1000000.
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>

#include "test/model/capability_model.hpp"
#include "test/unit/kernel/fake_arch.hpp"

using namespace bulkhead;
using abi::Call;
using abi::ObjectType;
using abi::Status;
using fake::Machine;
using model::CapabilitySpace;
using Address = CapabilitySpace::Address;

namespace {

constexpr uint32_t kFirst = 12000, kRootSlots = 48;  // the part of the root task's table that the test uses
constexpr unsigned kPoolBits = 26;

class Race {
  public:
    explicit Race(unsigned seed) : random_{seed}, model_{pool(), kPoolBits, kRootSlots, core::object_bytes} {}
    bool run(unsigned steps);
    void report() const {
        for (const auto& [what, n] : counts_)
            printf("%-12s %8u calls, %8u succeeded\n", what, n.second, n.first);
        printf("%.1f capabilities on average\n", population_);
    }

  private:
    uint64_t pool();
    unsigned below(unsigned n) { return static_cast<unsigned>(random_() % n); }
    Address address();
    Address full(ObjectType wanted =
                     ObjectType::Null);  // mostly of a capability that exists, of a type if one is named
    Address vacant();                    // mostly of an empty slot
    static uint64_t raw(Address a) {
        return a.table ? (uint64_t{kFirst + *a.table} << 32 | a.slot) : kFirst + a.slot;
    }
    uint8_t some_rights() { return static_cast<uint8_t>(below(3) != 0 ? abi::rights::kAll : below(256)); }
    bool step();
    bool agree();
    bool agree(const model::Cap& cap);
    core::Slot* slot_of(const model::Cap& cap);
    bool expect(Status kernel, Status model_says, const char* what);
    void learn();

    std::mt19937 random_;
    Machine machine_{1};
    CapabilitySpace model_;
    std::map<const model::Object*, core::Object*> object_;  // of all that ever lived: the model never frees
    std::map<const char*, std::pair<unsigned, unsigned>> counts_;  // successes, calls
    double population_ = 0;
    std::string last_;
};

uint64_t Race::pool() {
    if (machine_
            .call(Call::Retype, machine_.big_untyped(), static_cast<uint64_t>(ObjectType::Untyped), kPoolBits,
                  kFirst, 1)
            .status != Status::Ok)
        abort();
    return machine_.slot(kFirst).object;
}

Address Race::address() {
    if (below(4) != 0) return {std::nullopt, below(kRootSlots)};
    return {below(kRootSlots), below(18)};
}

Address Race::full(ObjectType wanted) {
    if (below(8) == 0) return address();
    for (unsigned tries = 0; tries < 60; ++tries) {
        const Address a = address();
        const model::Cap* cap = model_.find(a);
        if (cap != nullptr && (wanted == ObjectType::Null || cap->type == wanted)) return a;
    }
    return address();
}

Address Race::vacant() {
    if (below(16) == 0) return address();
    for (unsigned tries = 0; tries < 60; ++tries) {
        const Address a = address();
        if ((!a.table || model_.find({std::nullopt, *a.table}) != nullptr) && model_.find(a) == nullptr)
            return a;
    }
    return address();
}

core::Slot* Race::slot_of(const model::Cap& cap) {
    if (cap.home == &model_.root()) return &machine_.slot(kFirst + cap.index);
    core::Object* home = object_.at(cap.home);
    uint64_t count = 0;
    return core::container_slots(*home, &count) + cap.index;
}

// The kernel's objects behind what the model just made.
void Race::learn() {
    for (model::Cap* cap : model_.all()) {
        if (cap->object && object_.count(cap->object.get()) == 0)
            object_[cap->object.get()] = core::object_of(*slot_of(*cap));
    }
}

bool Race::expect(Status kernel, Status model_says, const char* what) {
    if (kernel == model_says) {
        ++counts_[what].second;
        if (kernel == Status::Ok) ++counts_[what].first;
        return true;
    }
    fprintf(stderr, "%s %s: the kernel says %u, the model %u\n", what, last_.c_str(),
            static_cast<unsigned>(kernel), static_cast<unsigned>(model_says));
    return false;
}

bool Race::agree(const model::Cap& cap) {
    const core::Slot& s = *slot_of(cap);
    bool same = s.type == cap.type && s.rights == cap.rights && s.flags == 0;
    same = same && s.parent == (cap.parent != nullptr ? slot_of(*cap.parent)
                                                      : &machine_.slot(machine_.big_untyped()));
    same = same && (s.first_child != nullptr ? slot_of(*cap.children.front()) == s.first_child
                                             : cap.children.empty());
    if (cap.object) {
        same = same && core::object_of(s) == object_.at(cap.object.get()) &&
               core::object_of(s)->refs == cap.object->refs && s.badge == cap.badge &&
               core::object_of(s)->dying == 0;
        if (cap.type == ObjectType::Notification)
            same = same && s.as<core::Notification>()->bits == cap.object->bound;
    } else {
        same = same && s.object == cap.base && s.size_bits == cap.bits;
        if (cap.type == ObjectType::Untyped) same = same && s.badge == cap.used;
    }
    size_t children = 0;
    for (const core::Slot* c = s.first_child; c != nullptr; c = c->next) ++children;
    same = same && children == cap.children.size();
    if (!same)
        fprintf(stderr,
                "slot %u of its table differs: kernel type %u rights %x flags %x, model type %u rights %x\n",
                cap.index, static_cast<unsigned>(s.type), s.rights, s.flags, static_cast<unsigned>(cap.type),
                cap.rights);
    return same;
}

bool Race::agree() {
    for (const model::Cap* cap : model_.all()) {
        if (!agree(*cap)) return false;
    }
    // And nothing is where the model has nothing; containers that the model forgot are gone.
    uint64_t slots = 0;
    for (uint32_t i = 0; i < kRootSlots; ++i) slots += machine_.slot(kFirst + i).empty() ? 0 : 1;
    const core::Object* root = core::container_of(machine_.slot(kFirst));
    for (core::Object* c = core::sys.containers; c != nullptr; c = c->next) {
        if (c == root || c == &machine_.root().header) continue;
        uint64_t count = 0;
        const core::Slot* s = core::container_slots(*c, &count);
        for (uint64_t i = 0; i < count; ++i) slots += s[i].empty() ? 0 : 1;
    }
    if (slots == model_.all().size() && core::sys.revokes == 0) return true;
    fprintf(stderr, "the kernel has %lu capabilities, the model %zu\n", slots, model_.all().size());
    return false;
}

bool Race::step() {
    constexpr ObjectType kNone = ObjectType::Null;
    const unsigned what = below(10);
    const Address a = what == 4 || what == 5 ? full() : what == 6 ? full(ObjectType::Thread) : vacant();
    const Address b = full(what == 1   ? (below(2) != 0 ? ObjectType::Endpoint : ObjectType::Notification)
                           : what == 2 ? ObjectType::Frame
                           : what == 6 ? ObjectType::CNode
                           : what > 6  ? ObjectType::Untyped
                                       : kNone);
    const auto mask = some_rights();
    // Preempted, a call through a table that dies by it would not find its slot again; see docs/abi.md.
    fake::state.preempt_every = !a.table && below(2) != 0 ? 1 + below(5) : 0;
    const auto kernel = [&](Call call, uint64_t a0, uint64_t a1 = 0, uint64_t a2 = 0, uint64_t a3 = 0,
                            uint64_t a4 = 0) { return machine_.call(call, a0, a1, a2, a3, a4).status; };
    last_ = std::to_string(raw(a)) + " " + std::to_string(raw(b));
    switch (what) {
        case 0: return expect(kernel(Call::CapCopy, raw(a), raw(b), mask), model_.copy(a, b, mask), "copy");
        case 1: {
            const uint64_t badge = below(4);
            return expect(kernel(Call::CapMint, raw(a), raw(b), mask, badge), model_.mint(a, b, mask, badge),
                          "mint");
        }
        case 2: {
            const uint64_t offset = uint64_t{below(3)} << 12;
            const unsigned bits = 11 + below(4);
            return expect(kernel(Call::FrameMint, raw(a), raw(b), mask, offset, bits),
                          model_.frame_mint(a, b, mask, offset, bits), "frame mint");
        }
        case 3:
            return raw(b) == kFirst ||
                   expect(kernel(Call::CapMove, raw(a), raw(b)), model_.move(a, b), "move");
        case 4:
            return raw(a) == kFirst || expect(kernel(Call::CapDelete, raw(a)), model_.remove(a), "delete");
        case 5:
            return (raw(a) == kFirst && below(50) != 0) || below(3) != 0 ||
                   expect(kernel(Call::CapRevoke, raw(a)), model_.revoke(a), "revoke");
        case 6:
            return expect(kernel(Call::ThreadSet, raw(a), 0, raw(b)), model_.thread_set_cspace(a, b),
                          "set CSpace");
        default: {
            constexpr ObjectType kTypes[] = {
                ObjectType::Untyped,  ObjectType::Frame,        ObjectType::CNode,  ObjectType::CNode,
                ObjectType::Endpoint, ObjectType::Notification, ObjectType::Thread, ObjectType::Reply};
            const ObjectType type = kTypes[below(8)];
            const bool memory = type == ObjectType::Untyped || type == ObjectType::Frame;
            const unsigned size = memory                      ? 12 + below(type == ObjectType::Frame ? 4 : 6)
                                  : type == ObjectType::CNode ? 2 + below(3)
                                                              : 0,
                           count = !a.table && a.slot + 3 > kRootSlots ? 1 : 1 + below(3);
            const Address from = below(2) != 0 ? Address{std::nullopt, 0} : b;
            return expect(kernel(Call::Retype, raw(from), static_cast<uint64_t>(type), size, raw(a), count),
                          model_.retype(from, type, size, a, count), "retype");
        }
    }
}

bool Race::run(unsigned steps) {
    for (unsigned i = 0; i < steps; ++i) {
        const bool ok = step();
        fake::state.preempt_every = 0;
        if (!ok) {
            fprintf(stderr, "step %u\n", i);
            return false;
        }
        learn();
        population_ += (static_cast<double>(model_.all().size()) - population_) / (i + 1);
        if (!agree()) {
            fprintf(stderr, "step %u: %s\n", i, last_.c_str());
            return false;
        }
    }
    return true;
}

}  // namespace

int main() {
    const char* seed_text = getenv("BULKHEAD_SEED");
    const char* steps_text = getenv("BULKHEAD_MODEL_STEPS");
    const unsigned seed =
        seed_text != nullptr ? static_cast<unsigned>(strtoul(seed_text, nullptr, 0)) : std::random_device{}();
    const unsigned steps =
        steps_text != nullptr ? static_cast<unsigned>(strtoul(steps_text, nullptr, 0)) : 100'000;
    printf("seed %u, %u steps\n", seed, steps);
    fflush(stdout);
    Race race{seed};
    const bool ok = race.run(steps);
    race.report();
    return ok ? 0 : 1;
}
