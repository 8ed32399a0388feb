// SPDX-License-Identifier: Apache-2.0
#include "boot/config/video.hpp"

#include "boot/config/text.hpp"

namespace bulkhead::boot {

VideoResult parse_video(std::string_view text) {
    constexpr std::string_view kPrefix = "gfx-";
    constexpr VideoResult kBad{false, {}};
    if (text.substr(0, kPrefix.size()) != kPrefix) return kBad;
    text.remove_prefix(kPrefix.size());
    uint32_t value[3] = {};
    for (size_t i = 0; i == 0 || !text.empty(); i++) {
        const size_t before = text.size();
        const std::string_view digits = take(text, 'x');
        const bool more = digits.size() < before;  // an `x` was there: a number must follow
        if (i == 3 || digits.empty() || digits.size() > 5 || (more && text.empty())) return kBad;
        for (const char c : digits) {
            if (c < '0' || c > '9') return kBad;
            value[i] = value[i] * 10 + static_cast<uint32_t>(c - '0');
        }
    }
    return {true, {value[0], value[1], value[2]}};
}

int choose_video_mode(std::span<const VideoMode> modes, VideoWish wish) {
    int best = -1;
    const auto size = [](const VideoMode& m) { return uint64_t{m.width} * m.height * 64 + m.bits; };
    for (size_t i = 0; i < modes.size(); i++) {
        const VideoMode& m = modes[i];
        if (m.bits == 0 || (wish.width && m.width != wish.width) || (wish.height && m.height != wish.height))
            continue;
        if (wish.depth && wish.depth != m.bits && wish.depth != m.colour_bits) continue;
        if (best < 0 || size(m) > size(modes[static_cast<size_t>(best)])) best = static_cast<int>(i);
    }
    return best;
}

}  // namespace bulkhead::boot
