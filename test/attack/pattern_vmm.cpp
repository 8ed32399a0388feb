// SPDX-License-Identifier: Apache-2.0
// A spawned domain with something to lose: fills its memory with a pattern that dom0 knows how to look for,
// and answers on its control endpoint whether every word is still as it wrote it (w0 = 1) and how many bytes
// there are (w1).
#include <vector>

#include "lib/cap/environment.hpp"
#include "test/attack/pattern.hpp"

int main() {
    using namespace bulkhead;
    const abi::StartInfo* start = cap::start_info();
    const abi::NamedCap* accept = start ? cap::find_cap(*start, "accept-control") : nullptr;
    if (!accept) return 1;
    static cap::Environment env{*start};
    auto reply = env.memory.create<cap::Reply>();
    std::vector<cap::Cap<cap::Frame>> frames;
    std::vector<cap::Mapping> memory;
    // All of it but a little for page tables.
    while (reply && env.memory.free_bytes() > (512 << 10)) {
        auto frame = env.memory.create<cap::Frame>(16);
        if (!frame) break;
        auto mapping = env.mapper.map(frame->address(), 16, abi::map::kRead | abi::map::kWrite);
        if (!mapping) break;
        frames.push_back(std::move(*frame));
        memory.push_back(std::move(*mapping));
        attack::fill(reinterpret_cast<uint64_t*>(memory.back().data()), memory.back().bytes() / 8);
    }
    cap::IpcResult message = cap::sys::ipc_recv(cap::address(*accept), reply->address(), abi::kDeadlineNever);
    for (;;) {
        uint64_t intact = 1, bytes = 0;
        for (const auto& m : memory) {
            intact &= attack::is_filled(reinterpret_cast<const uint64_t*>(m.data()), m.bytes() / 8);
            bytes += m.bytes();
        }
        if (!message.ok()) intact = 0;
        message =
            cap::sys::ipc_reply_recv(cap::address(*accept), {abi::MessageTag{1, 2, 0}, {intact, bytes, 0, 0}},
                                     reply->address(), abi::kDeadlineNever);
    }
}
