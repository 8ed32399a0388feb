// SPDX-License-Identifier: Apache-2.0
#include <atomic>

#include "lib/cap/raw_fake.hpp"

namespace bulkhead::cap {

static std::atomic<FakeKernel*> fake_kernel;

FakeKernel* install_fake_kernel(FakeKernel* kernel) {
    return fake_kernel.exchange(kernel);
}

void raw_call(RawCall& c) {
    const auto call = static_cast<abi::Call>(static_cast<int64_t>(c.number) - abi::kSyscallBase);
    FakeKernel* kernel = fake_kernel.load();
    if (!kernel) {
        c.number = static_cast<uint64_t>(abi::Status::NoSuchCall);
        return;
    }
    kernel->call(call, c);
}

abi::IpcBuffer& ipc_buffer() {
    static thread_local abi::IpcBuffer buffer;
    return buffer;
}

}  // namespace bulkhead::cap
