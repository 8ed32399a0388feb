// SPDX-License-Identifier: Apache-2.0
// Host tests: system calls go to a replaceable fake kernel instead of the `syscall` instruction.
#pragma once

#include "abi/syscall.hpp"

namespace bulkhead::cap {

struct RawCall {
    uint64_t number = 0;
    uint64_t a[6] = {};
    uint64_t reply = 0, deadline = 0;
};

// A test derives from this, installs it, and answers calls. `c.number` holds the bare Call on entry and must
// hold a Status afterwards.
class FakeKernel {
  public:
    virtual ~FakeKernel() = default;
    virtual void call(abi::Call number, RawCall& c) = 0;
};

// Returns the previous one. nullptr: every call answers NoSuchCall.
FakeKernel* install_fake_kernel(FakeKernel*);
void raw_call(RawCall& c);
inline void raw_ipc(RawCall& c) {
    raw_call(c);
}
abi::IpcBuffer& ipc_buffer();  // one per host thread

}  // namespace bulkhead::cap
