// SPDX-License-Identifier: Apache-2.0
#include "services/console-stubdom/local_terminal.hpp"

namespace bulkhead::console {
namespace {

constexpr uint64_t kPictureUs = 30'000;

}  // namespace

LocalTerminal::LocalTerminal(const abi::StartInfo& start, cap::CapAddr log, const cap::TscClock& clock)
    : clock_{clock} {
    const abi::BootInfo* info = cap::boot_info(start);
    if (info && !abi::has_console(info->chosen, abi::ConsoleDevice::Vga)) return;
    open_screen(start);
    open_keyboard(start);
    if (screen_) replay(log);
}

void LocalTerminal::open_screen(const abi::StartInfo& start) {
    const abi::NamedCap *memory = cap::find_cap(start, "framebuffer"),
                        *vga = cap::find_cap(start, "vga-ports");
    const abi::BootInfo* info = cap::boot_info(start);
    if (!memory || !info) return;
    if (vga) vga_.emplace(*vga);
    const auto& description = info->framebuffer;
    auto surface =
        Surface::create(description, {reinterpret_cast<std::byte*>(memory->mapped.base), memory->mapped.size},
                        vga_ ? &*vga_ : nullptr);
    if (surface)
        screen_.emplace(std::move(surface));
    else
        cap::log_line("console: the screen is of a kind that cannot be drawn on (" +
                      std::to_string(description.width) + "x" + std::to_string(description.height) + ", " +
                      std::to_string(description.bits) + " bits a pixel)");
}

void LocalTerminal::open_keyboard(const abi::StartInfo& start) {
    const abi::NamedCap *data = cap::find_cap(start, "keyboard-data"),
                        *control = cap::find_cap(start, "keyboard-control");
    irq_ = cap::find_cap(start, "keyboard-irq");
    if (!data || !control || !irq_) return;
    keyboard_ports_.emplace(*data, *control);
    keyboard_.emplace(*keyboard_ports_);
}

void LocalTerminal::replay(cap::CapAddr log) {
    constexpr std::byte kLine[] = {std::byte{'\r'}, std::byte{'\n'}};
    for (uint64_t cursor = 0;;) {
        const cap::Result read = cap::sys::log_read(log, cursor);
        if (!read.ok() || read.r0 == 0) break;
        cursor = read.r1;
        for (uint64_t i = 0; i < read.r0; i++) {
            const std::byte byte{cap::ipc_buffer().data[i]};
            screen_->write(byte == kLine[1] ? std::span<const std::byte>{kLine}
                                            : std::span<const std::byte>{&byte, 1});
        }
    }
    screen_->flush();
}

void LocalTerminal::interrupt(std::vector<std::byte>& input) {
    if (keyboard_) keyboard_->interrupt(input);
}

void LocalTerminal::draw() {
    const uint64_t now = cap::read_tsc();
    if (!screen_ || !screen_->dirty() || now < next_picture_) return;
    screen_->flush();
    next_picture_ = cap::read_tsc() + clock_.ticks_of_us(kPictureUs);
}

}  // namespace bulkhead::console
