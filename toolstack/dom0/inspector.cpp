// SPDX-License-Identifier: Apache-2.0
#include "toolstack/dom0/inspector.hpp"

#include <algorithm>
#include <cstring>
#include <map>
#include <tuple>

namespace bulkhead::dom0 {
namespace {

using abi::CapEntry;
using abi::ObjectType;

constexpr const char* kTypes[] = {"Null",         "Untyped",      "CNode",    "Frame",   "PageTable",
                                  "Thread",       "SchedContext", "Endpoint", "Reply",   "Notification",
                                  "Vcpu",         "IrqHandler",   "IoPort",   "IoSpace", "IrqControl",
                                  "SchedControl", "TagControl",   "Inspect",  "Log"};
static_assert(std::size(kTypes) == abi::kObjectTypes);
constexpr std::uint8_t kDevice = 2;
constexpr int kMaxTries = 5;
static_assert(xl::kSupervisorId == abi::kRootTag);
constexpr std::size_t kMaxEntries = 200'000, kMaxLog = 1 << 20;

void put_rights(xl::CapabilityInfo& info, std::uint8_t rights) {
    static constexpr char kLetters[] = {'r', 'w', 'x', 'g', 'c', 't', 'd'};
    static_assert(std::size(kLetters) < sizeof info.rights);
    std::size_t length = 0;
    for (unsigned bit = 0; bit < std::size(kLetters); bit++)
        if (rights >> bit & 1) info.rights[length++] = kLetters[bit];
    if (length == 0) info.rights[0] = '-';
}

void put_mapping(xl::CapabilityInfo& info, const CapEntry& entry) {
    constexpr std::uint8_t kMapped = 1, kWritable = 4, kExecutable = 8;
    if ((entry.flags & kMapped) == 0) return;
    std::size_t length = 0;
    info.mapped[length++] = 'r';
    if (entry.flags & kWritable) info.mapped[length++] = 'w';
    if (entry.flags & kExecutable) info.mapped[length++] = 'x';
    info.mapped_in = entry.mapped_in;
}

std::uint64_t size_of(const CapEntry& entry) {
    switch (static_cast<ObjectType>(entry.type)) {
        case ObjectType::Untyped:
        case ObjectType::Frame: return std::uint64_t{1} << entry.size_bits;
        case ObjectType::CNode: return std::uint64_t{64} << entry.size_bits;
        default: return 0;
    }
}

struct Entries {
    std::vector<CapEntry> all;  // as the kernel lists them: ascending by container and slot
    bool changed = false;
};

// All of one epoch: the list is read again when capabilities were made or deleted meanwhile, a few times.
std::optional<Entries> read_entries(cap::CapAddr inspect) {
    Entries out;
    for (int tries = 0; tries < kMaxTries; tries++) {
        out.all.clear();
        std::uint64_t cursor[2] = {}, epoch = 0;
        out.changed = false;
        do {
            const cap::Result r = cap::sys::inspect_caps(inspect, cursor[0], cursor[1]);
            if (!r.ok()) return std::nullopt;
            if (out.all.empty()) epoch = r.r3;
            out.changed |= epoch != r.r3;
            const std::size_t before = out.all.size(),
                              count = std::min<std::size_t>(r.r0, abi::kCapEntriesPerCall);
            out.all.resize(before + count);
            std::memcpy(out.all.data() + before, cap::ipc_buffer().data, count * sizeof(CapEntry));
            cursor[0] = r.r1;
            cursor[1] = r.r2;
        } while ((cursor[0] | cursor[1]) != 0 && out.all.size() < kMaxEntries);
        if (!out.changed) break;
    }
    return out;
}

// The object of the capability at a place; 0: there is none.
std::uint64_t object_at(const std::vector<CapEntry>& all, std::uint64_t container, std::uint32_t slot) {
    const auto at = std::ranges::lower_bound(all, std::pair{container, slot}, {}, [](const CapEntry& e) {
        return std::pair{e.container, e.slot};
    });
    return at != all.end() && at->container == container && at->slot == slot ? at->object : 0;
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

xl::Result<xl::CapabilityList> list_capabilities(cap::CapAddr inspect, std::optional<xl::DomainId> domain,
                                                 const DomainName& name) {
    const auto entries = read_entries(inspect);
    if (!entries) return xl::fail(xl::ErrorKind::Denied, "dom0 holds no Inspect capability.");
    SlotNames slots{entries->all};
    xl::CapabilityList out;
    out.changed = entries->changed;
    const auto wanted = [&](const CapEntry& entry) { return !domain || entry.domain_tag == *domain; };
    out.capabilities.reserve(static_cast<std::size_t>(std::ranges::count_if(entries->all, wanted)));
    for (const CapEntry& entry : entries->all) {
        const std::uint64_t slot = slots.name(entry);
        if (!wanted(entry)) continue;
        xl::CapabilityInfo& info = out.capabilities.emplace_back();
        info.domain = static_cast<xl::DomainId>(entry.domain_tag);
        info.slot = slot;
        info.type = entry.type < std::size(kTypes) ? kTypes[entry.type] : "?";
        put_rights(info, entry.rights);
        put_mapping(info, entry);
        info.badge = entry.badge;
        info.object = entry.object;
        info.parent = object_at(entries->all, entry.parent_container, entry.parent_slot);
        info.size = size_of(entry);
        info.container = entry.container;
        info.index = entry.slot;
        info.parent_container = entry.parent_container;
        info.parent_index = entry.parent_slot;
        info.device = (entry.flags & kDevice) != 0;
        if (const auto [known, made] = out.names.try_emplace(info.domain); made)
            known->second = name(entry.domain_tag);
    }
    std::ranges::sort(out.capabilities, {}, [](const xl::CapabilityInfo& c) {
        return std::tuple{c.domain, c.slot, c.container};
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
