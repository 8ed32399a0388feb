// SPDX-License-Identifier: Apache-2.0
// The guest's PV console ring (xen/io/console.h), ended here. The page is the guest's: indices are read once
// and bounded by the ring's size, bytes are only ever copied. Owned by the I/O thread.
//
// Output is taken only as fast as the sink accepts it, so that a guest which prints without end waits on its
// own ring. Input is queued, bounded, until the guest makes room.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace bulkhead::vmm {

class ConsoleSink {
  public:
    virtual ~ConsoleSink() = default;
    virtual std::size_t write(
        std::string_view text) = 0;  // how much it took; the rest is offered again at the next pump()
};

class ConsoleRing {
  public:
    static constexpr std::size_t kMostInput = 4096;

    ConsoleRing(std::byte* page, ConsoleSink& sink) : page_{page}, sink_{sink} {}

    // Moves what can be moved. True: indices changed, notify the guest.
    bool pump();
    std::size_t queue_input(std::string_view text);  // how much fitted
    bool output_waiting() const;

  private:
    bool pump_output();
    bool pump_input();
    uint32_t load(std::size_t offset) const;
    void store(std::size_t offset, uint32_t value);

    std::byte* page_;
    ConsoleSink& sink_;
    std::string input_;
};

}  // namespace bulkhead::vmm
