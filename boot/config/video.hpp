// SPDX-License-Identifier: Apache-2.0
// video=gfx-WIDTH[xHEIGHT[xDEPTH]] and which of the firmware's modes answers it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace bulkhead::boot {

struct VideoWish {
    uint32_t width = 0, height = 0, depth = 0;  // 0: any
};

struct VideoMode {
    uint32_t width = 0, height = 0;
    uint32_t bits = 0;         // a pixel in memory; 0: the mode has no framebuffer
    uint32_t colour_bits = 0;  // of them, those that carry colour
};

struct VideoResult {
    bool ok;
    VideoWish wish;
};
VideoResult parse_video(std::string_view text);

// The index of the mode that fits, of several the largest and deepest; -1: none. A depth is met by the bits a
// pixel has in memory or by those of its colours: 32 and 24 are the same mode to people.
int choose_video_mode(std::span<const VideoMode> modes, VideoWish wish);

}  // namespace bulkhead::boot
