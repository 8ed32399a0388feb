// SPDX-License-Identifier: Apache-2.0
#include "toolstack/dom0/guest_nodes.hpp"

namespace bulkhead::dom0 {
namespace {

using xl::NodeAccess;
constexpr std::uint64_t kConsoleFrame = 0xfeffc, kStoreFrame = 0xfeffd;  // the VMM's special pages
constexpr int kMaxTries = 10;

struct Entry {
    std::string path, value;
    bool owned = false;  // by the guest
};

std::string vm_path(const DomainRecord& record) {
    return "/vm/" + record.config.uuid.value_or(xl::Uuid{}).text();
}
std::string libxl_path(std::uint32_t domain) {
    return "/libxl/" + std::to_string(domain);
}

std::vector<Entry> entries(const DomainRecord& record, const VmmState& vmm, std::uint64_t start_time) {
    const auto& c = record.config;
    const std::string dom = guest_path(record.id), vmp = vm_path(record);
    const std::string memory_kib = std::to_string(c.memory_mib * 1024),
                      max_kib = std::to_string(c.max_memory_mib * 1024);
    std::vector<Entry> out{
        {vmp, ""},
        {vmp + "/name", c.name},
        {vmp + "/uuid", c.uuid.value_or(xl::Uuid{}).text()},
        {vmp + "/start_time", std::to_string(start_time)},
        {vmp + "/image", ""},
        {vmp + "/image/ostype", "hvm"},
        {vmp + "/image/kernel", c.kernel},
        {vmp + "/image/ramdisk", c.ramdisk},
        {vmp + "/image/cmdline", c.command_line},
        {dom, ""},
        {dom + "/vm", vmp},
        {dom + "/name", c.name},
        {dom + "/domid", std::to_string(record.id)},
        {dom + "/cpu", ""},
        {dom + "/memory", ""},
        {dom + "/memory/static-max", max_kib},
        {dom + "/memory/target", memory_kib},
        {dom + "/memory/videoram", "-1"},
        {dom + "/device", ""},
        {dom + "/device/suspend", ""},
        {dom + "/device/suspend/event-channel", "", true},
        {dom + "/control", ""},
        {dom + "/control/shutdown", "", true},
        {dom + "/control/feature-poweroff", "", true},
        {dom + "/control/feature-reboot", "", true},
        {dom + "/control/feature-suspend", "", true},
        {dom + "/control/sysrq", "", true},
        {dom + "/control/platform-feature-multiprocessor-suspend", "1"},
        {dom + "/control/platform-feature-xs_reset_watches", "1"},
        {dom + "/data", "", true},
        {dom + "/drivers", "", true},
        {dom + "/feature", "", true},
        {dom + "/attr", "", true},
        {dom + "/store", ""},
        {dom + "/store/port", std::to_string(vmm.store_port)},
        {dom + "/store/ring-ref", std::to_string(kStoreFrame)},
        {dom + "/console", ""},
        {dom + "/console/backend-id", "0"},
        {dom + "/console/limit", "1048576"},
        {dom + "/console/type", "xenconsoled"},
        {dom + "/console/output", "pty"},
        {dom + "/console/tty", ""},
        {dom + "/console/port", std::to_string(vmm.console_port)},
        {dom + "/console/ring-ref", std::to_string(kConsoleFrame)},
        {libxl_path(record.id), ""},
        {libxl_path(record.id) + "/type", "pvh"},
        {libxl_path(record.id) + "/dm-version", "qemu_xen"},
    };
    for (std::uint32_t i = 0; i < std::max(c.vcpus, c.max_vcpus); i++) {
        out.push_back({dom + "/cpu/" + std::to_string(i), ""});
        out.push_back(
            {dom + "/cpu/" + std::to_string(i) + "/availability", i < c.vcpus ? "online" : "offline"});
    }
    return out;
}

// Nodes inherit their parent's permissions; so only the tops, and what the guest owns, need their own.
bool has_own_permissions(const Entry& entry, const DomainRecord& record) {
    return entry.owned || entry.path == guest_path(record.id) || entry.path == vm_path(record);
}

xl::Result<void> write_all(RingXenstore& store, xl::TransactionId t, const DomainRecord& record,
                           const std::vector<Entry>& all) {
    for (const Entry& entry : all) {
        if (auto ok = store.write(t, entry.path, entry.value); !ok) return ok;
        if (!has_own_permissions(entry, record)) continue;
        const std::vector<xl::NodePermission> list =
            entry.owned
                ? std::vector<xl::NodePermission>{{NodeAccess::None, record.id}}
                : std::vector<xl::NodePermission>{{NodeAccess::None, 0}, {NodeAccess::Read, record.id}};
        if (auto ok = store.set_permissions(t, entry.path, list); !ok) return ok;
    }
    return {};
}

// Runs `body` in transactions until one of them is not overtaken.
template <typename Body>
xl::Result<void> in_transaction(RingXenstore& store, Body&& body) {
    for (int tries = 0;; tries++) {
        const auto t = store.start_transaction();
        if (!t) return std::unexpected(t.error());
        if (auto ok = body(*t); !ok) {
            (void)store.end_transaction(*t, false);
            if (ok.error().kind != xl::ErrorKind::Again || tries == kMaxTries) return ok;
            continue;
        }
        auto ended = store.end_transaction(*t, true);
        if (ended || ended.error().kind != xl::ErrorKind::Again || tries == kMaxTries) return ended;
    }
}

}  // namespace

std::string guest_path(std::uint32_t domain) {
    return "/local/domain/" + std::to_string(domain);
}

xl::Result<void> write_guest_nodes(RingXenstore& store, const DomainRecord& record, const VmmState& vmm,
                                   std::uint64_t start_time) {
    const auto all = entries(record, vmm, start_time);
    auto written =
        in_transaction(store, [&](xl::TransactionId t) { return write_all(store, t, record, all); });
    if (!written) return written;
    return store.introduce(record.id, kStoreFrame, vmm.store_port);
}

xl::Result<void> remove_guest_nodes(RingXenstore& store, const DomainRecord& record) {
    for (const std::string& path : {guest_path(record.id), vm_path(record), libxl_path(record.id)})
        if (auto ok = store.remove(xl::kNoTransaction, path); !ok && ok.error().kind == xl::ErrorKind::Gone)
            return ok;
    if (auto ok = store.release(record.id); !ok && ok.error().kind == xl::ErrorKind::Gone) return ok;
    return {};
}

xl::Result<void> rename_guest_nodes(RingXenstore& store, const DomainRecord& record) {
    return in_transaction(store, [&](xl::TransactionId t) -> xl::Result<void> {
        if (auto ok = store.write(t, guest_path(record.id) + "/name", record.config.name); !ok) return ok;
        return store.write(t, vm_path(record) + "/name", record.config.name);
    });
}

}  // namespace bulkhead::dom0
