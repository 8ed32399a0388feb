// SPDX-License-Identifier: Apache-2.0
#include "boot/efi/screen.hpp"

#include "boot/config/video.hpp"

namespace bulkhead::boot {
namespace {

EFI_GUID graphics_guid = EFI_GRAPHICS_OUTPUT_PROTOCOL_GUID;
constexpr uint32_t kMaxModes = 256;
VideoMode modes[kMaxModes];

EFI_GRAPHICS_OUTPUT_PROTOCOL* graphics_output() {
    EFI_GRAPHICS_OUTPUT_PROTOCOL* graphics = nullptr;
    const EFI_STATUS status =
        BS->LocateProtocol(&graphics_guid, nullptr, reinterpret_cast<void**>(&graphics));
    return EFI_ERROR(status) ? nullptr : graphics;
}

struct Field {
    uint8_t position, bits;
};

Field field(uint32_t mask) {
    if (mask == 0) return {0, 0};
    const int low = __builtin_ctz(mask), high = 32 - __builtin_clz(mask);
    return {static_cast<uint8_t>(low), static_cast<uint8_t>(high - low)};
}

struct Pixel {
    uint32_t bits;  // 0: no framebuffer
    Field red, green, blue;
};

// UEFI 2.10, 12.9.2: the masks are given only where the format has no name; PixelBltOnly has no memory.
Pixel pixel(const EFI_GRAPHICS_OUTPUT_MODE_INFORMATION& mode) {
    EFI_PIXEL_BITMASK mask{0xff0000, 0xff00, 0xff, 0xff000000};
    if (mode.PixelFormat == PixelRedGreenBlueReserved8BitPerColor)
        mask = {0xff, 0xff00, 0xff0000, 0xff000000};
    else if (mode.PixelFormat == PixelBitMask)
        mask = mode.PixelInformation;
    else if (mode.PixelFormat != PixelBlueGreenRedReserved8BitPerColor)
        return {};
    const uint32_t used = mask.RedMask | mask.GreenMask | mask.BlueMask | mask.ReservedMask;
    if (used == 0) return {};
    const uint32_t bits = (32 - static_cast<uint32_t>(__builtin_clz(used)) + 7) & ~uint32_t{7};
    return {bits, field(mask.RedMask), field(mask.GreenMask), field(mask.BlueMask)};
}

uint32_t list_modes(EFI_GRAPHICS_OUTPUT_PROTOCOL& graphics) {
    const uint32_t count = graphics.Mode->MaxMode < kMaxModes ? graphics.Mode->MaxMode : kMaxModes;
    for (uint32_t i = 0; i < count; i++) {
        EFI_GRAPHICS_OUTPUT_MODE_INFORMATION* mode = nullptr;
        UINTN bytes = 0;
        modes[i] = {};
        if (EFI_ERROR(graphics.QueryMode(&graphics, i, &bytes, &mode))) continue;
        const Pixel p = pixel(*mode);
        modes[i] = {mode->HorizontalResolution, mode->VerticalResolution, p.bits,
                    uint32_t{p.red.bits} + p.green.bits + p.blue.bits};
        BS->FreePool(mode);
    }
    return count;
}

void set_mode(VideoWish wish, std::string_view written, Where where) {
    EFI_GRAPHICS_OUTPUT_PROTOCOL* graphics = graphics_output();
    if (!graphics) return note(where, "there is no screen to set the mode of:", written);
    const int mode = choose_video_mode({modes, list_modes(*graphics)}, wish);
    if (mode < 0)
        return note(where, "the firmware offers no such video mode, so it stays as it is:", written);
    const auto index = static_cast<uint32_t>(mode);
    if (index != graphics->Mode->Mode)
        if (const EFI_STATUS status = graphics->SetMode(graphics, index); EFI_ERROR(status))
            return note(where, "the firmware does not set the video mode", written, status);
    print("Bulkhead: screen ");
    print_number(modes[index].width);
    print("x");
    print_number(modes[index].height);
    print(", ");
    print_number(modes[index].bits);
    print(" bits\n");
}

}  // namespace

void set_video_mode(const FileLine& video, Where where) {
    const VideoResult wanted = parse_video(video.file);
    if (!wanted.ok)
        fail(where, "video= expects gfx-WIDTH, gfx-WIDTHxHEIGHT or gfx-WIDTHxHEIGHTxDEPTH, and reads",
             video.file);
    set_mode(wanted.wish, video.file, where);
}

void set_video_mode(const abi::VgaOptions& vga) {
    if (vga.mode == abi::VgaMode::Graphics) set_mode({vga.width, vga.height, vga.bits}, "vga=", {});
}

void describe_screen(abi::BootInfo& info) {
    EFI_GRAPHICS_OUTPUT_PROTOCOL* graphics = graphics_output();
    if (!graphics || graphics->Mode->FrameBufferBase == 0) return;
    const auto& mode = *graphics->Mode->Info;
    const Pixel p = pixel(mode);
    if (p.bits == 0) return;
    info.framebuffer = {.base = graphics->Mode->FrameBufferBase,
                        .width = mode.HorizontalResolution,
                        .height = mode.VerticalResolution,
                        .pitch = mode.PixelsPerScanLine * p.bits / 8,
                        .bits = p.bits,
                        .red_position = p.red.position,
                        .red_bits = p.red.bits,
                        .green_position = p.green.position,
                        .green_bits = p.green.bits,
                        .blue_position = p.blue.position,
                        .blue_bits = p.blue.bits,
                        .reserved = {}};
}

}  // namespace bulkhead::boot
