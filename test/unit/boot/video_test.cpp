// SPDX-License-Identifier: Apache-2.0
#include "boot/config/video.hpp"

#include <catch2/catch.hpp>

using namespace bulkhead::boot;

TEST_CASE("video=: what Xen documents is read, anything else refused") {
    const VideoResult all = parse_video("gfx-1024x768x32");
    REQUIRE(all.ok);
    CHECK((all.wish.width == 1024 && all.wish.height == 768 && all.wish.depth == 32));
    CHECK((parse_video("gfx-1024x768").ok && parse_video("gfx-1024x768").wish.depth == 0));
    CHECK((parse_video("gfx-800").ok && parse_video("gfx-800").wish.height == 0));
    for (const char* bad :
         {"", "gfx-", "gfx", "text-80x25", "1024x768", "gfx-x", "gfx-1024x", "gfx-1024x768x",
          "gfx-1024x768x32x1", "gfx-1024x768 ", "gfx-123456", "gfx--1", "gfx-1024X768", "gfx-xx"}) {
        INFO(bad);
        CHECK_FALSE(parse_video(bad).ok);
    }
}

TEST_CASE("video=: the mode that fits is chosen, of several the largest") {
    constexpr VideoMode kModes[] = {{640, 480, 32, 24},
                                    {1024, 768, 32, 24},
                                    {1024, 768, 16, 16},
                                    {1024, 600, 32, 24},
                                    {4096, 4096, 0, 0}};
    CHECK(choose_video_mode(kModes, {1024, 768, 32}) == 1);
    CHECK(choose_video_mode(kModes, {1024, 768, 24}) == 1);
    CHECK(choose_video_mode(kModes, {1024, 768, 16}) == 2);
    CHECK(choose_video_mode(kModes, {1024, 768, 0}) == 1);
    CHECK(choose_video_mode(kModes, {1024, 0, 0}) == 1);
    CHECK(choose_video_mode(kModes, {0, 600, 0}) == 3);
    CHECK(choose_video_mode(kModes, {800, 600, 0}) == -1);
    CHECK(choose_video_mode(kModes, {4096, 4096, 0}) == -1);
    CHECK(choose_video_mode({}, {}) == -1);
}
