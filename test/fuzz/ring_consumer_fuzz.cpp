// SPDX-License-Identifier: Apache-2.0
// A peer's region from the fuzzer: two bytes of tail, two of how it moves on, then the data words. Whatever
// they are, the consumer yields whole entries or closes; messages are read with limits.
#include <algorithm>
#include <cstdint>
#include <cstring>

#include "lib/ring/message.hpp"
#include "schema/console.capnp.c++"  // a generator of meson takes no generated source

using namespace bulkhead::ring;

namespace {
struct Silent final : Doorbell {
    void ring() override {}
};
alignas(4096) std::byte own[4096];
alignas(4096) std::byte peer[4096];
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using bulkhead::schema::console::FromControl;
    if (size < 4) return 0;
    uint16_t tail = 0, step = 0;
    std::memcpy(&tail, data, 2);
    std::memcpy(&step, data + 2, 2);
    std::memset(peer, 0, sizeof(peer));
    std::memcpy(peer + kDataOffset, data + 4, std::min(size - 4, sizeof(peer) - kDataOffset));
    auto& control = *reinterpret_cast<Control*>(peer);
    control.magic = kMagic;
    control.data_words = (sizeof(peer) - kDataOffset) / 8;
    control.tail = tail;
    Silent bell;
    Channel channel{own, peer, bell};
    for (int laps = 0; laps < 4 && channel.open(); ++laps) {
        while (receive<FromControl>(channel, [](auto message) {
                   if (message.isOutput()) return message.getOutput().size() != 3;
                   if (message.isRename()) return message.getRename().getName().size() != 3;
                   return true;
               }) == Io::Ok) {
        }
        control.tail = control.tail + step;
    }
    return 0;
}
