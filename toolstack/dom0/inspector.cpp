// SPDX-License-Identifier: Apache-2.0
#include "toolstack/dom0/inspector.hpp"

#include <algorithm>
#include <cstring>
#include <map>
#include <unordered_map>

namespace bulkhead::dom0 {
namespace {

using abi::CapEntry;
using abi::ObjectType;

constexpr const char* kTypes[] = {"Null",         "Untyped",      "CNode",    "Frame",   "PageTable",
                                  "Thread",       "SchedContext", "Endpoint", "Reply",   "Notification",
                                  "Vcpu",         "IrqHandler",   "IoPort",   "IoSpace", "IrqControl",
                                  "SchedControl", "TagControl",   "Inspect",  "Log"};
static_assert(std::size(kTypes) == abi::kObjectTypes);
constexpr int kMaxTries = 5;
constexpr std::size_t kMaxEntries = 200'000, kMaxLog = 1 << 20;

std::string rights_text(std::uint8_t rights) {
    static constexpr char kLetters[] = {'r', 'w', 'x', 'g', 'c', 't', 'd'};
    std::string out;
    for (unsigned bit = 0; bit < std::size(kLetters); bit++)
        if (rights >> bit & 1) out += kLetters[bit];
    return out.empty() ? "-" : out;
}

std::uint64_t size_of(const CapEntry& entry) {
    switch (static_cast<ObjectType>(entry.type)) {
        case ObjectType::Untyped:
        case ObjectType::Frame: return std::uint64_t{1} << entry.size_bits;
        case ObjectType::CNode: return std::uint64_t{64} << entry.size_bits;
        default: return 0;
    }
}

// All of one epoch: the list is read again when capabilities were made or deleted meanwhile, a few times.
std::optional<std::vector<CapEntry>> read_entries(cap::CapAddr inspect) {
    std::vector<CapEntry> all;
    for (int tries = 0; tries < kMaxTries; tries++) {
        all.clear();
        std::uint64_t cursor[2] = {}, epoch = 0;
        bool same = true;
        do {
            const cap::Result r = cap::sys::inspect_caps(inspect, cursor[0], cursor[1]);
            if (!r.ok()) return std::nullopt;
            if (all.empty()) epoch = r.r3;
            same = same && epoch == r.r3;
            const std::size_t before = all.size(),
                              count = std::min<std::size_t>(r.r0, abi::kCapEntriesPerCall);
            all.resize(before + count);
            std::memcpy(all.data() + before, cap::ipc_buffer().data, count * sizeof(CapEntry));
            cursor[0] = r.r1;
            cursor[1] = r.r2;
        } while ((cursor[0] | cursor[1]) != 0 && all.size() < kMaxEntries);
        if (same) break;
    }
    return all;
}

std::uint64_t place(std::uint64_t container, std::uint32_t slot) {
    return container << 20 | slot;
}

// A slot's number is unique in its domain: the root CNode's slots are themselves, those of further containers
// are numbered container by container above it.
class SlotNames {
  public:
    explicit SlotNames(const std::vector<CapEntry>& all) {
        for (const CapEntry& entry : all)
            if (entry.slot == 1 && static_cast<ObjectType>(entry.type) == ObjectType::CNode &&
                entry.object == entry.container)
                ordinals_[entry.container] = 0;
    }
    std::uint64_t name(const CapEntry& entry) {
        const auto [it, made] = ordinals_.try_emplace(entry.container, 0);
        if (made) it->second = ++last_[entry.domain_tag];
        return it->second << 20 | entry.slot;
    }

  private:
    std::map<std::uint64_t, std::uint64_t> ordinals_, last_;
};

}  // namespace

xl::Result<std::vector<xl::CapabilityInfo>> list_capabilities(cap::CapAddr inspect,
                                                              std::optional<xl::DomainId> domain,
                                                              const DomainName& name) {
    const auto all = read_entries(inspect);
    if (!all) return xl::fail(xl::ErrorKind::Denied, "dom0 holds no Inspect capability.");
    std::unordered_map<std::uint64_t, std::uint64_t> object_at;
    for (const CapEntry& entry : *all) object_at[place(entry.container, entry.slot)] = entry.object;
    SlotNames slots{*all};
    std::map<std::uint64_t, std::string> names;
    std::vector<xl::CapabilityInfo> out;
    for (const CapEntry& entry : *all) {
        const std::uint64_t slot = slots.name(entry);
        if (domain && entry.domain_tag != *domain) continue;
        auto [known, made] = names.try_emplace(entry.domain_tag);
        if (made) known->second = name(entry.domain_tag);
        xl::CapabilityInfo info;
        info.domain = static_cast<xl::DomainId>(entry.domain_tag);
        info.domain_name = known->second;
        info.slot = slot;
        info.type = entry.type < std::size(kTypes) ? kTypes[entry.type] : "?";
        info.rights = rights_text(entry.rights);
        info.badge = entry.badge;
        info.object = entry.object;
        const auto parent = object_at.find(place(entry.parent_container, entry.parent_slot));
        info.parent = entry.parent_container != 0 && parent != object_at.end() ? parent->second : 0;
        info.size = size_of(entry);
        out.push_back(std::move(info));
    }
    std::ranges::stable_sort(out, {}, [](const xl::CapabilityInfo& c) {
        return std::pair{c.domain, c.slot};
    });
    return out;
}

xl::Result<std::string> read_log(cap::CapAddr log, bool clear) {
    std::string text;
    for (std::uint64_t cursor = 0; text.size() < kMaxLog;) {
        const cap::Result r = cap::sys::log_read(log, cursor);
        if (!r.ok())
            return xl::fail(xl::ErrorKind::Denied,
                            std::string{"the kernel's log cannot be read: "} + cap::describe(r.status) + ".");
        if (r.r0 == 0) break;
        text.append(reinterpret_cast<const char*>(cap::ipc_buffer().data),
                    std::min<std::size_t>(r.r0, sizeof(abi::IpcBuffer::data)));
        cursor = r.r1;
    }
    if (clear)
        if (const auto status = cap::sys::log_control(log, abi::kLogClear); status != cap::Status::Ok)
            return xl::fail(xl::ErrorKind::Denied, std::string{"the kernel's log cannot be cleared: "} +
                                                       cap::describe(status) + ".");
    return text;
}

}  // namespace bulkhead::dom0
