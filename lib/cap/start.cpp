// SPDX-License-Identifier: Apache-2.0
#include "lib/cap/start.hpp"

#include <sys/auxv.h>

#include <algorithm>
#include <cstring>

namespace bulkhead::cap {

const abi::StartInfo* start_info() {
    const auto* info = reinterpret_cast<const abi::StartInfo*>(getauxval(abi::kAtBulkhead));
    return info && info->magic == abi::kStartMagic ? info : nullptr;
}

const abi::KernelInfo& kernel_info(const abi::StartInfo& start) {
    return *reinterpret_cast<const abi::KernelInfo*>(start.kernel_info);
}

static std::string_view name_of(const abi::NamedCap& cap) {
    return {cap.name, strnlen(cap.name, sizeof(cap.name))};
}

const abi::NamedCap* find_cap(const abi::StartInfo& start, std::string_view name) {
    const auto* end = start.cap + std::min<size_t>(start.caps, std::size(start.cap));
    const auto* found = std::find_if(start.cap, end, [&](const auto& cap) { return name_of(cap) == name; });
    return found == end ? nullptr : found;
}

const abi::NamedCap* find_cap_prefix(const abi::StartInfo& start, std::string_view prefix, unsigned index) {
    const auto* end = start.cap + std::min<size_t>(start.caps, std::size(start.cap));
    const auto* found = std::find_if(
        start.cap, end, [&](const auto& cap) { return name_of(cap).starts_with(prefix) && index-- == 0; });
    return found == end ? nullptr : found;
}

void log_line(std::string_view text, abi::LogLevel level) {
    abi::IpcBuffer& buffer = ipc_buffer();
    const size_t bytes = std::min(text.size(), sizeof(buffer.data) - 1);
    std::memcpy(buffer.data, text.data(), bytes);
    buffer.data[bytes] = '\n';
    drop(sys::log_write(kOwnLog, bytes + 1, level));
}

}  // namespace bulkhead::cap
