// SPDX-License-Identifier: Apache-2.0
// A spin lock for critical sections of a few hundred instructions, on CPUs that may themselves be scheduled
// by an emulator or a hypervisor below.
//
// Who comes while it is free takes it, even past those who wait. A queue would hand it to a waiter whose CPU
// does not run at that moment; all others would then spin until it does, and once in that state each critical
// section costs a time slice of the host's. So that nobody waits for ever, who has found it taken kPatience
// times draws a number, which closes the lock to all who have none; those are served in order.
//
// Takes no part in interrupts: the caller has them off. Wait for it with take_slow(turn), which calls turn()
// again and again.
#pragma once

#include <stdint.h>

namespace bulkhead::arch {

class BargingLock {
  public:
    // Turns: some tens of milliseconds with PAUSE in each, more than a host's time slice.
    static constexpr uint32_t kPatience = 1'000'000;

    bool try_take() {
        uint32_t found = 0;
        __atomic_compare_exchange_n(&whole(), &found, kTaken, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
        return found == 0;  // shorter code than the builtin's own answer
    }
    void release() { __atomic_store_n(&taken_, 0, __ATOMIC_RELEASE); }

    template <class Turn>
    void take_slow(Turn turn, uint32_t patience = kPatience) {
        for (uint32_t turns = 0; turns < patience; ++turns) {
            turn();
            if (__atomic_load_n(&whole(), __ATOMIC_RELAXED) == 0 && try_take()) return;
        }
        take_in_order(turn);
    }

  private:
    static constexpr uint32_t kTaken = 1;
    using Whole = uint32_t __attribute__((may_alias));
    Whole& whole() { return *reinterpret_cast<Whole*>(&taken_); }

    template <class Turn>
    void take_in_order(Turn turn) {
        const uint32_t number = __atomic_fetch_add(&next_, 1, __ATOMIC_RELAXED);
        do {
            turn();
            // Each time: who was served before may have opened it, having seen nobody.
            __atomic_store_n(&closed_, 1, __ATOMIC_RELAXED);
        } while (__atomic_load_n(&serving_, __ATOMIC_ACQUIRE) != number ||
                 __atomic_exchange_n(&taken_, 1, __ATOMIC_ACQUIRE) != 0);
        if (__atomic_load_n(&next_, __ATOMIC_RELAXED) == number + 1)
            __atomic_store_n(&closed_, 0, __ATOMIC_RELAXED);
        __atomic_store_n(&serving_, number + 1, __ATOMIC_RELEASE);
    }

    alignas(64) uint8_t taken_ = 0;  // with the next three, one word: 0 means that anybody may take it
    uint8_t closed_ = 0;             // to those who have no number
    [[maybe_unused]] uint8_t unused_[2] = {};
    alignas(64) uint32_t next_ = 0;  // number to draw
    uint32_t serving_ = 0;
};

}  // namespace bulkhead::arch
