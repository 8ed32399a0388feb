// SPDX-License-Identifier: Apache-2.0
#include "services/console-stubdom/uart.hpp"

namespace bulkhead::console {
namespace {

enum Register : unsigned {
    kData = 0,
    kInterruptEnable = 1,
    kInterruptId = 2,
    kFifoControl = 2,
    kModemControl = 4,
    kLineStatus = 5,
    kModemStatus = 6
};
constexpr uint8_t kReceiveInterrupt = 1, kTransmitInterrupt = 2;
constexpr uint8_t kNoInterrupt = 1;
constexpr uint8_t kDataReady = 1, kTransmitterEmpty = 0x20;
constexpr uint8_t kFifos = 0x47;       // on, both cleared, receive trigger at 4 (with the time-out below it):
                                       // what comes while the interrupt is on its way still has room
constexpr uint8_t kModemLines = 0x0b;  // DTR, RTS, OUT2 (which gates the interrupt on a PC)
constexpr size_t kFifoBytes = 16;
constexpr unsigned kBurst = 256;  // bytes taken in one interrupt, at most: a mad UART cannot hold us

}  // namespace

Uart::Uart(Ports& ports) : ports_{ports} {
    if (ports_.in(kLineStatus) == 0xff) return;
    present_ = true;
    ports_.out(kInterruptEnable, 0);
    ports_.out(kFifoControl, kFifos);
    ports_.out(kModemControl, kModemLines);
    set_interrupts();
}

void Uart::set_interrupts() {
    const auto wanted = static_cast<uint8_t>(kReceiveInterrupt | (queue_.empty() ? 0 : kTransmitInterrupt));
    if (wanted == enabled_) return;
    enabled_ = wanted;
    ports_.out(kInterruptEnable, wanted);
}

size_t Uart::write(std::span<const std::byte> bytes) {
    if (!present_) return bytes.size();
    const size_t taken = bytes.size() < room() ? bytes.size() : room();
    queue_.insert(queue_.end(), bytes.begin(), bytes.begin() + static_cast<ptrdiff_t>(taken));
    pump();
    set_interrupts();
    return taken;
}

void Uart::pump() {
    while (!queue_.empty() && (ports_.in(kLineStatus)&kTransmitterEmpty)) {
        for (size_t i = 0; i < kFifoBytes && !queue_.empty(); i++) {
            ports_.out(kData, static_cast<uint8_t>(queue_.front()));
            queue_.pop_front();
        }
    }
}

void Uart::interrupt(std::vector<std::byte>& input) {
    if (!present_) return;
    // An edge-triggered line: every cause must be gone when we leave, or there is no further edge.
    for (unsigned taken = 0; taken < kBurst;) {
        const uint8_t cause = ports_.in(kInterruptId), status = ports_.in(kLineStatus);
        if (status & kDataReady) {
            input.push_back(static_cast<std::byte>(ports_.in(kData)));
            taken++;
            continue;
        }
        pump();
        set_interrupts();
        if (cause & kNoInterrupt) break;
        (void)ports_.in(kModemStatus);
        taken++;
    }
}

}  // namespace bulkhead::console
