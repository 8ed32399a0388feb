// SPDX-License-Identifier: Apache-2.0
#include "services/console-stubdom/scrollback.hpp"

#include <algorithm>
#include <cstring>

namespace bulkhead::console {
namespace {

constexpr uint64_t kMagic = 0x31474f4c4e4f4342;  // "BCONLOG1"
constexpr uint64_t kMaxWritten = uint64_t{1} << 60;

}  // namespace

std::string_view Scrollback::Log::name() const {
    return {header_->name, strnlen(header_->name, kNameBytes)};
}

void Scrollback::Log::rename(std::string_view name) {
    char text[kNameBytes] = {};
    std::memcpy(text, name.data(), std::min(name.size(), kNameBytes - 1));
    std::memcpy(header_->name, text, kNameBytes);
}

void Scrollback::Log::append(std::span<const std::byte> bytes) {
    if (bytes.empty()) return;
    if (bytes.size() > capacity()) {
        header_->written += bytes.size() - capacity();
        bytes = bytes.last(capacity());
    }
    const size_t at = header_->written % capacity(), first = std::min(bytes.size(), capacity() - at);
    std::memcpy(data_ + at, bytes.data(), first);
    std::memcpy(data_, bytes.data() + first, bytes.size() - first);
    header_->written += bytes.size();  // last: a death before it loses only these bytes
}

size_t Scrollback::Log::read(uint64_t& at, std::span<std::byte> out) const {
    at = std::clamp(at, oldest(), written());
    const size_t bytes = std::min<uint64_t>(out.size(), written() - at);
    for (size_t done = 0; done < bytes;) {
        const size_t from = (at + done) % capacity(), part = std::min(bytes - done, capacity() - from);
        std::memcpy(out.data() + done, data_ + from, part);
        done += part;
    }
    at += bytes;
    return bytes;
}

bool Scrollback::used(const Log& log) {
    return log.header_->magic == kMagic;
}

Scrollback::Scrollback(std::span<std::byte> memory) {
    for (size_t at = 0; at + kSlotBytes <= memory.size(); at += kSlotBytes) {
        Log log;
        log.header_ = reinterpret_cast<Log::Header*>(memory.data() + at);
        log.data_ = memory.data() + at + sizeof(Log::Header);
        const bool twice = std::ranges::any_of(
            slots_, [&](const Log& other) { return used(other) && other.badge() == log.badge(); });
        if (!used(log) || log.header_->written > kMaxWritten || log.header_->order > kMaxWritten || twice)
            std::memset(log.header_, 0, sizeof *log.header_);
        next_order_ = std::max(next_order_, log.header_->order + 1);
        slots_.push_back(log);
    }
}

Scrollback::Log* Scrollback::find(uint64_t badge) {
    const auto it =
        std::ranges::find_if(slots_, [&](const Log& log) { return used(log) && log.badge() == badge; });
    return it == slots_.end() ? nullptr : &*it;
}

Scrollback::Log* Scrollback::open(uint64_t badge) {
    if (Log* log = find(badge)) return log;
    auto it = std::ranges::find_if_not(slots_, used);
    if (it == slots_.end()) {
        it = std::ranges::min_element(
            slots_, {}, [](const Log& log) { return log.connected ? ~uint64_t{0} : log.header_->order; });
        if (it == slots_.end() || it->connected) return nullptr;
        forget(*it);
    }
    it->header_->badge = badge;
    it->header_->order = next_order_++;
    it->header_->magic = kMagic;  // last: a slot with a magic is whole
    return &*it;
}

void Scrollback::forget(Log& log) {
    log.connected = false;
    std::memset(log.header_, 0, sizeof *log.header_);
}

std::vector<Scrollback::Log*> Scrollback::logs() {
    std::vector<Log*> out;
    for (Log& log : slots_)
        if (used(log)) out.push_back(&log);
    return out;
}

}  // namespace bulkhead::console
