// SPDX-License-Identifier: Apache-2.0
// Exceptions and page faults of the root task's own thread, resumed behind the instruction by a handler that
// changes RIP.
#include <cstring>

#include "test/bench/measure.hpp"
#include "test/bench/stage.hpp"

namespace bulkhead::bench {

namespace {

using abi::ObjectType;

// A handler that adds `skip` to RIP, as the fault endpoint of this thread for as long as it lives.
class Handler {
  public:
    Handler(bool own_space, uint64_t skip)
        : side_{{.own_space = own_space}},
          endpoint_{stage::near<cap::Endpoint>(side_.make(ObjectType::Endpoint))},
          reply_{stage::near<cap::Reply>(side_.make(ObjectType::Reply))},
          four_words_{stage::near<cap::Endpoint>(endpoint_.address(), abi::rights::kWrite)} {
        std::memcpy(side_.stack_top(), &skip, sizeof skip);
        side_.start(stage::side_skip, side_.give(10, endpoint_.address()).raw,
                    side_.give(11, reply_.address()).raw);
        stage::require(
            sys::thread_set(cap::kMainThread, abi::ThreadSlot::FaultEndpoint, four_words_.address()),
            "setting the fault handler");
    }
    ~Handler() {
        stage::require(sys::thread_set(cap::kMainThread, abi::ThreadSlot::FaultEndpoint, CapAddr{}),
                       "clearing the fault handler");
    }

  private:
    stage::Side side_;
    cap::Cap<cap::Endpoint> endpoint_;
    cap::Cap<cap::Reply> reply_;
    cap::Cap<cap::Endpoint> four_words_;  // by which no registers come
};

void exception(const char* name, bool own_space) {
    Handler handler{own_space, 2};
    measure(
        name, []() __attribute__((always_inline)) {
            asm volatile("ud2" ::: "memory");
        });
}

void page_fault(const char* name, bool own_space) {
    Handler handler{own_space, 3};
    const uint64_t nowhere = stage::Side::kShared + 0x7'0000'0000;
    measure(
        name, [&]() __attribute__((always_inline)) {
            asm volatile(".byte 0x48, 0x8b, 0x00  # mov (%%rax), %%rax" : : "a"(nowhere) : "memory");
        });
}

}  // namespace

void fault_benchmarks() {
    exception("kernel.exception_roundtrip", false);
    exception("kernel.exception_roundtrip_cross", true);
    page_fault("kernel.page_fault_roundtrip", false);
    page_fault("kernel.page_fault_roundtrip_cross", true);
}

}  // namespace bulkhead::bench
