// SPDX-License-Identifier: Apache-2.0
#include "test/unit/xl/fake_backend.hpp"

#include <algorithm>

#include "toolstack/xl/text.hpp"

namespace bulkhead::xl {

std::optional<std::size_t> FakeTerminal::read(std::span<char> into, std::int64_t timeout_ms) {
    if (input.empty()) {
        if (timeout_ms >= 0) return 0;
        return std::nullopt;
    }
    const auto count = std::min(into.size(), input.size());
    std::copy_n(input.begin(), count, into.begin());
    input.erase(0, count);
    return count;
}

namespace {

std::unexpected<Error> no_entry() {
    return fail(ErrorKind::NotFound, "No such file or directory");
}

}  // namespace

Result<std::string> FakeXenstore::read(TransactionId transaction, std::string_view path) {
    const auto found = view(transaction).find(std::string(path));
    if (found == view(transaction).end()) return no_entry();
    return found->second.value;
}

Result<void> FakeXenstore::write(TransactionId transaction, std::string_view path, std::string_view value) {
    if (!path.starts_with('/')) return fail(ErrorKind::Invalid, "Invalid argument");
    auto& all = view(transaction);
    for (std::size_t at = path.find('/', 1); at != std::string_view::npos; at = path.find('/', at + 1))
        all.try_emplace(std::string(path.substr(0, at)));
    all[std::string(path)].value = value;
    return {};
}

Result<void> FakeXenstore::remove(TransactionId transaction, std::string_view path) {
    std::erase_if(view(transaction), [&](const auto& node) {
        return node.first == path || node.first.starts_with(std::string(path) + "/");
    });
    return {};
}

Result<std::vector<std::string>> FakeXenstore::directory(TransactionId transaction, std::string_view path) {
    auto& all = view(transaction);
    if (!all.contains(std::string(path))) return no_entry();
    const std::string prefix = path == "/" ? "/" : std::string(path) + "/";
    std::vector<std::string> names;
    for (const auto& [name, node] : all) {
        if (name.size() > prefix.size() && name.starts_with(prefix) &&
            name.find('/', prefix.size()) == std::string::npos)
            names.push_back(name.substr(prefix.size()));
    }
    return names;
}

Result<std::vector<NodePermission>> FakeXenstore::permissions(TransactionId transaction,
                                                              std::string_view path) {
    const auto found = view(transaction).find(std::string(path));
    if (found == view(transaction).end()) return no_entry();
    return found->second.permissions;
}

Result<void> FakeXenstore::set_permissions(TransactionId transaction, std::string_view path,
                                           const std::vector<NodePermission>& list) {
    const auto found = view(transaction).find(std::string(path));
    if (found == view(transaction).end()) return no_entry();
    found->second.permissions = list;
    return {};
}

Result<TransactionId> FakeXenstore::start_transaction() {
    copy_ = nodes;
    return 7U;
}

Result<void> FakeXenstore::end_transaction(TransactionId, bool commit) {
    if (!commit) {
        ++aborts;
        return {};
    }
    if (conflicts > 0) {
        --conflicts;
        return fail(ErrorKind::Again, "Resource temporarily unavailable");
    }
    nodes = copy_;
    ++commits;
    return {};
}

Result<void> FakeXenstore::watch(std::string_view path) {
    watches.emplace_back(path);
    events.insert(events.begin(), std::string(path));
    return {};
}

Result<void> FakeXenstore::unwatch(std::string_view path) {
    std::erase(watches, path);
    return {};
}

Result<std::optional<std::string>> FakeXenstore::next_event(std::int64_t) {
    if (events.empty()) return std::optional<std::string>{};
    auto event = events.front();
    events.erase(events.begin());
    return std::optional(event);
}

FakeBackend::FakeBackend() {
    DomainInfo dom0;
    dom0.name = "Domain-0";
    dom0.kind = DomainKind::Dom0;
    dom0.running = true;
    dom0.memory_kib = dom0.max_memory_kib = 16 * 1024;
    dom0.vcpus = 1;
    dom0.cpu_time_ns = 420'000'000;
    dom0.uptime_ns = 93'784'000'000'000;
    DomainInfo console = dom0;
    console.id = 2;
    console.name = "console";
    console.kind = DomainKind::StubDomain;
    console.running = false;
    console.blocked = true;
    DomainInfo debian;
    debian.id = 4;
    debian.name = "debian";
    debian.uuid = *Uuid::parse("59e1cf6c-6ab9-4879-90e7-adc8d1c63bf5");
    debian.blocked = true;
    debian.memory_kib = debian.max_memory_kib = 256 * 1024;
    debian.vcpus = 2;
    debian.cpu_time_ns = 1'900'000'000;
    debian.uptime_ns = 65'000'000'000;
    list = {dom0, console, debian};
    configs[4].name = "debian";
    configs[4].kernel = "/boot/vmlinuz";
    files["/boot/vmlinuz"] = "kernel";
    files["/boot/initrd"] = "ramdisk";
    files["/boot/empty"] = "";
    files["/etc/xen/web.cfg"] =
        "name = 'web'\nkernel = '/boot/vmlinuz'\nramdisk = '/boot/initrd'\nmemory = 64\nvcpus = 2\n";
}

Result<void> FakeBackend::note(const std::string& what, DomainId domain) {
    if (next_failure) {
        auto error = *next_failure;
        next_failure.reset();
        return std::unexpected(error);
    }
    calls.push_back(what + format(" %u", domain));
    return {};
}

Result<std::vector<VcpuInfo>> FakeBackend::vcpus(DomainId domain) {
    for (const auto& info : list) {
        if (info.id != domain) continue;
        std::vector<VcpuInfo> result(info.vcpus);
        for (std::uint32_t i = 0; i < info.vcpus; ++i) {
            result[i].index = i;
            result[i].online = i == 0;
            result[i].blocked = true;
            result[i].cpu_time_ns = 1'500'000'000;
            result[i].affinity = *CpuSet::parse("0-1");
        }
        return result;
    }
    return fail(ErrorKind::NotFound, "there is no such domain.");
}

Result<DomainConfig> FakeBackend::config(DomainId domain) {
    const auto found = configs.find(domain);
    if (found == configs.end()) return fail(ErrorKind::NotFound, "there is no such domain.");
    return found->second;
}

Result<DomainId> FakeBackend::create(const DomainConfig& config, std::span<const std::byte> kernel,
                                     std::span<const std::byte> ramdisk) {
    if (auto ok = note(format("create %s %zu+%zu", config.name.c_str(), kernel.size(), ramdisk.size()), 9);
        !ok)
        return std::unexpected(ok.error());
    configs[9] = config;
    return 9U;
}

Result<std::optional<DomainEnd>> FakeBackend::wait(DomainId domain, WaitFor what, std::int64_t) {
    if (end) calls.push_back(format("wait %s %u", what == WaitFor::Death ? "death" : "shutdown", domain));
    return end;
}

Result<ConsoleEnd> FakeBackend::attach_console(DomainId domain, std::string_view typed) {
    if (auto ok = note("console", domain); !ok) return std::unexpected(ok.error());
    typed_for_console = typed;
    return ConsoleEnd::Detached;
}

Result<ExitTrace> FakeBackend::exits(DomainId domain, std::uint32_t vcpu) {
    if (auto ok = note(format("exits of vCPU %u of", vcpu), domain); !ok) return std::unexpected(ok.error());
    return trace;
}

Result<PhysInfo> FakeBackend::physinfo() {
    PhysInfo info;
    info.release = "0.1.0";
    info.nr_cpus = 2;
    info.cores_per_socket = 2;
    info.cpu_khz = 2266007;
    info.has_svm = true;
    info.total_memory_kib = 2048 * 1024;
    info.free_memory_kib = 1024 * 1024;
    return info;
}

Result<std::string> FakeBackend::kernel_log(bool clear) {
    auto text = log;
    if (clear) log.clear();
    return text;
}

Result<CapabilityList> FakeBackend::capabilities(std::optional<DomainId> domain) {
    CapabilityList made;
    made.capabilities = {{0, 1, "CNode", "rw", 0, 10, 1, 4096, 10, 1, 5, 16, "", 0, false},
                         {2, 3, "Endpoint", "w", 0xbeef, 11, 10, 0, 20, 3, 10, 4, "", 0, false},
                         {2, 4, "Frame", "rw", 0, 77, 76, 4096, 20, 4, 5, 17, "rw", 30, true},
                         {kSupervisorId, 5, "Log", "r", 0, 0, 0, 0, 5, 5, 0, 0, "", 0, false}};
    made.names = {{0, "Domain-0"}, {2, "console"}, {kSupervisorId, kSupervisorName}};
    if (domain) std::erase_if(made.capabilities, [&](const auto& cap) { return cap.domain != *domain; });
    return made;
}

Result<std::vector<StubDomainInfo>> FakeBackend::stub_domains() {
    return std::vector<StubDomainInfo>{{"console", 2U, "running", 1},
                                       {"xenstore", std::nullopt, "failed", 5}};
}

Result<void> FakeBackend::kill_stub_domain(const std::string& name, std::uint64_t delay_ms) {
    if (name != "xenstore") return fail(ErrorKind::NotFound, "there is no such stub domain.");
    calls.push_back(format("kill %s %llu", name.c_str(), static_cast<unsigned long long>(delay_ms)));
    return {};
}

Result<void> FakeBackend::restart_stub_domain(const std::string& name) {
    if (name != "console") return fail(ErrorKind::NotFound, "there is no such stub domain.");
    return note("restart", 2);
}

Result<std::span<const std::byte>> FakeBackend::file(std::string_view path) {
    const auto found = files.find(std::string(path));
    if (found == files.end()) return fail(ErrorKind::NotFound, "there is no such file.");
    return std::as_bytes(std::span(found->second));
}

Result<std::vector<std::string>> FakeBackend::list_directory(std::string_view path) {
    std::string folder(path);
    if (!folder.ends_with('/')) folder += '/';
    std::vector<std::string> names;
    for (const auto& [name, text] : files) {
        if (!name.starts_with(folder)) continue;
        const auto rest = name.substr(folder.size());
        const auto slash = rest.find('/');
        const auto entry = slash == std::string::npos ? rest : rest.substr(0, slash + 1);
        if (names.empty() || names.back() != entry) names.push_back(entry);
    }
    if (names.empty()) return fail(ErrorKind::NotFound, "there is no such directory.");
    return names;
}

}  // namespace bulkhead::xl
