// SPDX-License-Identifier: Apache-2.0
// What `xl` and the dom0 shell need from the machine: one virtual method per primitive. dom0 implements it on
// capabilities and channels; the tests implement it in memory. One thread calls it. A method returns when the
// thing is done or has failed; only wait() and attach_console() may block for long, and they say how they
// end.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "toolstack/xl/domain_config.hpp"
#include "toolstack/xl/error.hpp"
#include "toolstack/xl/xenstore.hpp"

namespace bulkhead::xl {

using DomainId = std::uint32_t;

enum class DomainKind : std::uint8_t { Dom0, StubDomain, Guest };

// The numbers of SCHEDOP_shutdown.
enum class ShutdownReason : std::uint8_t {
    Poweroff = 0,
    Reboot = 1,
    Suspend = 2,
    Crash = 3,
    Watchdog = 4,
    SoftReset = 5
};

struct DomainInfo {
    DomainId id = 0;
    std::string name;
    Uuid uuid;
    DomainKind kind = DomainKind::Guest;
    bool running = false, blocked = false, paused = false, shutdown = false, dying = false;
    ShutdownReason reason = ShutdownReason::Poweroff;  // when `shutdown`
    std::uint64_t memory_kib = 0;
    std::uint64_t max_memory_kib = 0;
    std::uint32_t vcpus = 0;        // online
    std::uint64_t cpu_time_ns = 0;  // consumed by all its vCPUs or threads
    std::uint64_t uptime_ns = 0;    // since it was created
};

struct VcpuInfo {
    std::uint32_t index = 0;
    std::uint32_t cpu = 0;  // the host CPU it is on
    bool online = false, running = false, blocked = false;
    std::uint64_t cpu_time_ns = 0;
    CpuSet affinity = CpuSet::all();
};

struct PhysInfo {
    std::string host = "bulkhead";
    std::string release;  // of Bulkhead
    std::string version;  // how it was built
    std::string commit;
    std::string command_line;  // of the hypervisor
    std::string compiler;
    std::string compile_date;
    std::uint32_t nr_cpus = 0;
    std::uint32_t threads_per_core = 1;
    std::uint32_t cores_per_socket = 1;
    std::uint64_t cpu_khz = 0;
    std::array<std::uint32_t, 8> hw_caps{};  // CPUID words in Xen's order: 1d 1c 80000001d 80000001c 7b …
    bool has_svm = false, has_vmx = false, has_iommu = false;
    std::uint64_t total_memory_kib = 0;
    std::uint64_t free_memory_kib = 0;
};

struct StubDomainInfo {
    std::string name;
    std::optional<DomainId> id;  // none while it is not running
    std::string state;           // "running", "restarting", "failed", …
    std::uint32_t restarts = 0;
};

// One capability slot, as the kernel's Inspect object tells it: no addresses.
// Who holds what the supervisor keeps for itself; no domain has this number (Xen's DOMID_XEN).
inline constexpr DomainId kSupervisorId = 0x7ff2;
inline constexpr const char* kSupervisorName = "supervisor";

// `slot` is for people, unique in its domain. Exact places are (container, index): the object id of the
// CNode, thread, vCPU or interrupt handler that the capability lies in, and the slot there.
struct CapabilityInfo {
    DomainId domain = 0;
    std::uint64_t slot = 0;
    const char* type = "";  // "Untyped", "Frame", …
    char rights[8] = "";    // "rwx", "-" …
    std::uint64_t badge = 0;
    std::uint64_t object = 0;
    std::uint64_t parent = 0;  // object id of the parent in the derivation tree; 0: none
    std::uint64_t size = 0;    // bytes
    std::uint64_t container = 0, index = 0;
    std::uint64_t parent_container = 0, parent_index = 0;  // 0, 0: it has no parent
    char mapped[4] = "";          // "r", "rw", "rx", "rwx" (guests' memory); empty: it is not mapped
    std::uint64_t mapped_in = 0;  // object id of the page table
    bool device = false;          // memory of a device or of a boot module
};
struct CapabilityList {
    std::vector<CapabilityInfo> capabilities;  // by domain and slot
    std::map<DomainId, std::string> names;
    bool changed = false;  // while it was made; some of it may not fit together
};

// What a self-test found of the machine itself.
struct Finding {
    enum class Verdict : std::uint8_t { Works, Missing, Failed };
    std::string what;
    Verdict verdict = Verdict::Works;
    std::string text;  // one line
};

// The last exits of a guest's vCPU, oldest first, as its VMM tells them: numbers, whatever they are.
struct GuestExit {
    std::uint32_t reason = 0;  // abi::ExitReason, or anything else
    std::uint64_t rip = 0, detail = 0;
};
struct ExitTrace {
    std::uint64_t first = 0;  // how many exits there were before exits[0]
    std::vector<GuestExit> exits;
};

struct IpcCost {
    std::uint32_t cpu = 0;
    std::uint64_t ticks = 0;  // a call and its answer
};

enum class WaitFor : std::uint8_t { Shutdown /* or death */, Death };
struct DomainEnd {
    bool died = false;                                 // else it is shut down and still there
    ShutdownReason reason = ShutdownReason::Poweroff;  // when !died
};

enum class ConsoleEnd : std::uint8_t { Detached /* Ctrl-] */, DomainGone };

class Backend {
  public:
    virtual ~Backend() = default;

    // Domains, in ascending order of their ID. Stub domains are domains.
    virtual Result<std::vector<DomainInfo>> domains() = 0;
    virtual Result<std::vector<VcpuInfo>> vcpus(DomainId domain) = 0;
    virtual Result<DomainConfig> config(DomainId domain) = 0;  // of guests only

    // Builds a domain, left paused. `config.uuid` is set; the images are what the file tree has at
    // config.kernel and config.ramdisk (empty: no ramdisk) and are not needed after the call. On failure
    // nothing of the domain remains.
    virtual Result<DomainId> create(const DomainConfig& config, std::span<const std::byte> kernel,
                                    std::span<const std::byte> ramdisk) = 0;
    virtual Result<void> pause(DomainId domain) = 0;
    virtual Result<void> unpause(DomainId domain) = 0;
    virtual Result<void> destroy(DomainId domain) = 0;
    // Ask the guest through control/shutdown. ErrorKind::Unsupported: it does not listen there.
    virtual Result<void> shutdown(DomainId domain) = 0;
    virtual Result<void> reboot(DomainId domain) = 0;
    virtual Result<void> sysrq(DomainId domain, char key) = 0;
    virtual Result<void> rename(DomainId domain, const std::string& name) = 0;

    // nullopt after the timeout. A domain that is already gone has died.
    virtual Result<std::optional<DomainEnd>> wait(DomainId domain, WaitFor what, std::int64_t timeout_ms) = 0;
    // Connects the operator's terminal to the domain's console, its log first; returns at Ctrl-] or when the
    // domain is gone.
    // `typed`: what was typed so far, and is the domain's; of an attachment that fails it is nobody's.
    virtual Result<ConsoleEnd> attach_console(DomainId domain, std::string_view typed) = 0;

    // What is still kept of what the domain printed.
    virtual Result<std::string> console_log(DomainId domain) = 0;

    // Of a guest, which may run meanwhile.
    virtual Result<ExitTrace> exits(DomainId domain, std::uint32_t vcpu) = 0;

    virtual Result<PhysInfo> physinfo() = 0;
    // Measured on the CPU, and in the time, of a guest's first vCPU; the guest should have ended.
    virtual Result<IpcCost> ipc_cost(DomainId domain) = 0;
    // CPU, memory, firmware, timers; takes a moment.
    virtual Result<std::vector<Finding>> hardware() = 0;
    virtual Result<std::string> kernel_log(bool clear) = 0;
    virtual Result<CapabilityList> capabilities(std::optional<DomainId> domain) = 0;
    virtual Result<std::vector<StubDomainInfo>> stub_domains() = 0;
    virtual Result<void> restart_stub_domain(const std::string& name) = 0;
    // It ends as if it had crashed.
    virtual Result<void> kill_stub_domain(const std::string& name, std::uint64_t delay_ms) = 0;

    // Do not return on success.
    virtual Result<void> power_off_machine() = 0;
    virtual Result<void> reboot_machine() = 0;

    // Waits without using the CPU; the shell's `sleep`, cut in slices so that Ctrl-C works.
    virtual void sleep_ms(std::uint64_t duration) = 0;
    virtual std::array<std::uint8_t, 16> random_bytes() = 0;
    virtual Result<std::uint64_t> seconds_utc() = 0;  // since 1970

    // dom0's file tree: absolute, normalized paths ("/etc/xen/a.cfg"). What a span shows stays until dom0
    // ends.
    virtual Result<std::span<const std::byte>> file(std::string_view path) = 0;
    virtual Result<std::vector<std::string>> list_directory(
        std::string_view path) = 0;  // names; directories end in '/'

    virtual Xenstore& xenstore() = 0;
};

}  // namespace bulkhead::xl
