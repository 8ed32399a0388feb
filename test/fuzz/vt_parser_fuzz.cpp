// SPDX-License-Identifier: Apache-2.0
// What a guest prints, on a screen: any bytes, cut anywhere, leave the cursor inside and draw inside the
// memory.
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "services/console-stubdom/screen.hpp"

using namespace bulkhead;
using namespace bulkhead::console;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    abi::BootFramebuffer s{};
    s.text = 1, s.width = 23, s.height = 7, s.pitch = 50;
    std::vector<std::byte> memory(size_t{s.pitch} * s.height);
    Screen screen{Surface::create(s, memory, nullptr)};
    const size_t first = size ? data[0] % size : 0;
    screen.write(std::as_bytes(std::span{data, first}));
    screen.flush();
    screen.write(std::as_bytes(std::span{data + first, size - first}));
    screen.flush();
    if (screen.grid().cursor_column() >= s.width || screen.grid().cursor_row() >= s.height) std::abort();
    return 0;
}
