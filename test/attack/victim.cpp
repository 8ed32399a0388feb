// SPDX-License-Identifier: Apache-2.0
#include "test/attack/victim.hpp"

#include <cstring>

namespace bulkhead::attack {

namespace sys = cap::sys;
using abi::ObjectType;
using cap::CapAddr;

Victim::Victim() : echo_{{.tag = kTag, .priority = 40}}, pong_{{.tag = kTag, .priority = 40}} {
    endpoint_ = echo_.make(ObjectType::Endpoint);
    const CapAddr reply = echo_.make(ObjectType::Reply), ping = pong_.make(ObjectType::Notification);
    pong_back_ = pong_.make(ObjectType::Notification);
    const auto badged = stage::machine().env.cspace.slots().allocate();
    if (!badged) stage::fail("no free slots");
    ping_ = *badged;
    stage::require(sys::cap_mint(ping_, ping, abi::rights::kWrite, 1), "minting the victim's signal");
    for (unsigned p = 0; p < kPages; ++p) {
        page_[p] = static_cast<uint64_t*>(
            echo_.page(stage::Side::kShared + p * abi::kPageSize, abi::map::kRead | abi::map::kWrite));
        for (unsigned w = 0; w < 512; ++w) page_[p][w] = pattern(p, w);
    }
    echo_.start(stage::side_echo, echo_.give(10, endpoint_).raw, echo_.give(11, reply).raw);
    pong_.start(stage::side_pong, pong_.give(10, ping).raw,
                pong_.give(11, pong_back_, abi::rights::kAll, 1).raw);
    caps_ = list_caps();
    if (const char* wrong = check_caps())
        stage::fail(std::string{"the victim is not well before the attack: "} + wrong);
}

const char* Victim::check() {
    for (unsigned p = 0; p < kPages; ++p)
        for (unsigned w = 0; w < 512; ++w)
            if (page_[p][w] != pattern(p, w)) return "its memory has changed";
    const cap::IpcResult answer = sys::ipc_call(endpoint_, {abi::MessageTag{7, 4, 0}, {1, 2, 3, 4}});
    if (!answer.ok() || answer.tag.label() != 7 || answer.w[0] != 1 || answer.w[3] != 4)
        return "its endpoint does not answer";
    cap::drop(sys::signal(ping_));
    const uint64_t second = stage::machine().env.kernel.tsc_khz * 1000;
    const cap::Result pong = sys::wait(pong_back_, __builtin_ia32_rdtsc() + second);
    return pong.ok() && pong.r0 == 1 ? nullptr : "its notification is not answered";
}

const char* Victim::check_caps() {
    if (const char* wrong = check()) return wrong;
    return list_caps() == caps_ ? nullptr : "its capabilities have changed";
}

uint64_t Victim::list_caps() {
    uint64_t digest = 0, cursor0 = 0, cursor1 = 0;
    do {
        const cap::Result r = sys::inspect_caps(stage::kInspect, cursor0, cursor1);
        stage::require(r, "listing capabilities");
        for (uint64_t i = 0; i < r.r0; ++i) {
            abi::CapEntry entry;
            std::memcpy(&entry, cap::ipc_buffer().data + i * sizeof entry, sizeof entry);
            if (entry.domain_tag != kTag) continue;
            uint64_t words[sizeof entry / 8];
            std::memcpy(words, &entry, sizeof entry);
            for (const uint64_t word : words) digest = (digest ^ word) * 0x100'0000'01b3;
        }
        cursor0 = r.r1;
        cursor1 = r.r2;
    } while (cursor0 != 0 || cursor1 != 0);
    return digest;
}

}  // namespace bulkhead::attack
