// SPDX-License-Identifier: Apache-2.0
#include "services/vmm-stubdom/console_ring.hpp"

#include <algorithm>
#include <cstring>

#include "services/vmm-stubdom/xen_abi.hpp"

namespace bulkhead::vmm {

namespace {

constexpr uint32_t kOutSize = sizeof(xencons_interface::out), kInSize = sizeof(xencons_interface::in);
constexpr std::size_t kOut = offsetof(xencons_interface, out), kIn = offsetof(xencons_interface, in);
constexpr std::size_t kOutCons = offsetof(xencons_interface, out_cons),
                      kOutProd = offsetof(xencons_interface, out_prod);
constexpr std::size_t kInCons = offsetof(xencons_interface, in_cons),
                      kInProd = offsetof(xencons_interface, in_prod);

}  // namespace

uint32_t ConsoleRing::load(std::size_t offset) const {
    return __atomic_load_n(reinterpret_cast<const uint32_t*>(page_ + offset), __ATOMIC_SEQ_CST);
}
void ConsoleRing::store(std::size_t offset, uint32_t value) {
    __atomic_store_n(reinterpret_cast<uint32_t*>(page_ + offset), value, __ATOMIC_SEQ_CST);
}

bool ConsoleRing::output_waiting() const {
    return load(kOutCons) != load(kOutProd);
}

bool ConsoleRing::pump_output() {
    uint32_t consumer = load(kOutCons);
    const uint32_t producer = load(kOutProd);
    if (producer - consumer > kOutSize) {  // nonsense: skip it all
        store(kOutCons, producer);
        return true;
    }
    bool moved = false;
    while (consumer != producer) {
        char copy[kOutSize];
        const uint32_t at = consumer % kOutSize, part = std::min(producer - consumer, kOutSize - at);
        std::memcpy(copy, page_ + kOut + at, part);
        const auto taken = static_cast<uint32_t>(sink_.write({copy, part}));
        consumer += std::min(taken, part);
        if (taken) {
            store(kOutCons, consumer);
            moved = true;
        }
        if (taken < part) break;
    }
    return moved;
}

bool ConsoleRing::pump_input() {
    if (input_.empty()) return false;
    uint32_t producer = load(kInProd);
    const uint32_t consumer = load(kInCons);
    if (producer - consumer > kInSize) return false;
    std::size_t moved = 0;
    while (moved < input_.size() && producer - consumer < kInSize) {
        page_[kIn + producer % kInSize] = static_cast<std::byte>(input_[moved++]);
        ++producer;
    }
    if (!moved) return false;
    input_.erase(0, moved);
    store(kInProd, producer);
    return true;
}

bool ConsoleRing::pump() {
    const bool out = pump_output(), in = pump_input();
    return out || in;
}

std::size_t ConsoleRing::queue_input(std::string_view text) {
    const std::size_t part = std::min(text.size(), kMostInput - input_.size());
    input_.append(text.substr(0, part));
    return part;
}

}  // namespace bulkhead::vmm
