// SPDX-License-Identifier: Apache-2.0
// The domain beside the attacker: memory with a known content, a thread that waits at an endpoint, one that
// waits at a notification. check() says what is not as it was, or nullptr.
#pragma once

#include "test/bench/stage.hpp"

namespace bulkhead::attack {

class Victim {
  public:
    static constexpr uint64_t kTag = 200;
    Victim();
    const char* check();
    // Also its capabilities, as the kernel lists them (slow).
    const char* check_caps();

  private:
    static constexpr unsigned kPages = 16;
    uint64_t list_caps();
    static uint64_t pattern(unsigned page, unsigned word) {
        return (uint64_t{page} << 32 | word) * 0x9e37'79b9'7f4a'7c15;
    }

    stage::Side echo_, pong_;
    cap::CapAddr endpoint_, ping_, pong_back_;
    uint64_t* page_[kPages];
    uint64_t caps_;  // digest of the list
};

}  // namespace bulkhead::attack
