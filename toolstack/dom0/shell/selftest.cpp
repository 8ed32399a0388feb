// SPDX-License-Identifier: Apache-2.0
#include "toolstack/dom0/shell/selftest.hpp"

#include <algorithm>

#include "toolstack/xl/create.hpp"

namespace bulkhead::shell {

namespace {

using xl::Finding;
using xl::format;
using Verdict = xl::Finding::Verdict;
using ULL = unsigned long long;

constexpr std::uint64_t kSliceMs = 200;
constexpr unsigned kStoreRounds = 200;
constexpr const char* kStorePath = "/local/domain/0/selftest";

std::uint64_t tsc() {
    return __builtin_ia32_rdtsc();
}

class Selftest {
  public:
    explicit Selftest(xl::Context& context) : context_{context}, backend_{context.backend} {
        if (const auto machine = backend_.physinfo())
            cpus_ = machine->nr_cpus, khz_ = std::max<std::uint64_t>(machine->cpu_khz, 1),
            virtual_ = machine->has_svm || machine->has_vmx;
    }

    int run() {
        context_.console.print("selftest: no disk is read or written; this takes some seconds.\n");
        if (const auto found = backend_.hardware()) {
            for (const Finding& finding : *found) tell(finding);
        } else {
            tell({"hardware", Verdict::Failed, found.error().sentence});
        }
        store_and_rings();
        for (const char* service : {"platform", "xenstore", "console"}) restart(service);
        store_survived();
        if (virtual_) {
            for (std::uint32_t cpu = 0; cpu < cpus_ && !context_.console.interrupted(); cpu++) costs_of(cpu);
            guest_boots();
        } else {
            tell({"guests", Verdict::Missing, "without virtualization none can run"});
        }
        return conclude();
    }

  private:
    void tell(const Finding& finding) {
        static constexpr const char* kWords[] = {"works  ", "missing", "FAILED "};
        const auto verdict = static_cast<unsigned>(finding.verdict);
        count_[verdict]++;
        context_.console.print(format("[%s] %s: ", kWords[verdict], finding.what.c_str()) +
                               xl::printable(finding.text) + "\n");
    }
    ULL microseconds(std::uint64_t ticks) const { return ticks * 1000 / khz_; }
    ULL nanoseconds(std::uint64_t ticks) const { return ticks * 1'000'000 / khz_; }
    ULL milliseconds(std::uint64_t ticks) const { return ticks / khz_; }

    // Each is a message through a ring to xenstore and its answer.
    void store_and_rings() {
        std::uint64_t write = 0, read = 0;
        for (unsigned i = 0; i < kStoreRounds; i++) {
            const std::string value = std::to_string(i);
            const std::uint64_t start = tsc();
            const auto written = backend_.xenstore().write(xl::kNoTransaction, kStorePath, value);
            const std::uint64_t middle = tsc();
            const auto got = backend_.xenstore().read(xl::kNoTransaction, kStorePath);
            read += tsc() - middle, write += middle - start;
            if (!written || !got || *got != value)
                return tell({"xenstore", Verdict::Failed,
                             "what was written does not come back: " + (!written ? written.error().sentence
                                                                        : !got   ? got.error().sentence
                                                                                 : *got)});
        }
        tell({"rings", Verdict::Works,
              format("xenstore answers a write in %llu us, a read in %llu us",
                     microseconds(write / kStoreRounds), microseconds(read / kStoreRounds))});
    }

    std::optional<xl::StubDomainInfo> service(const std::string& name) {
        const auto all = backend_.stub_domains();
        if (!all) return std::nullopt;
        const auto it = std::ranges::find(*all, name, &xl::StubDomainInfo::name);
        return it == all->end() ? std::nullopt : std::optional{*it};
    }

    void restart(const std::string& name) {
        const auto before = service(name);
        const auto restarted = backend_.restart_stub_domain(name);
        if (!before || !restarted)
            return tell({"restart of " + name, Verdict::Failed,
                         restarted ? "there is no such service" : restarted.error().sentence});
        backend_.sleep_ms(kSliceMs);  // what is said to a console that dies is lost
        for (unsigned i = 0; i < 50; i++) {
            const auto now = service(name);
            if (now && now->state == "running" && now->restarts > before->restarts)
                return tell({"restart of " + name, Verdict::Works, "a new instance runs"});
            backend_.sleep_ms(kSliceMs);
        }
        tell({"restart of " + name, Verdict::Failed, "it does not run again; `stubdom list` tells more"});
    }

    void store_survived() {
        const auto got = backend_.xenstore().read(xl::kNoTransaction, kStorePath);
        const bool same = got && *got == std::to_string(kStoreRounds - 1);
        tell({"xenstore's memory", same ? Verdict::Works : Verdict::Failed,
              same ? "what was written before its restart is still there"
                   : "what was written before its restart is gone"});
        if (auto removed = backend_.xenstore().remove(xl::kNoTransaction, kStorePath); !removed)
            tell({"xenstore", Verdict::Failed, removed.error().sentence});
    }

    std::optional<xl::DomainId> start(const std::string& what, const std::string& settings) {
        auto config = xl::load_config(context_, "", settings);
        const auto id =
            config
                ? xl::build_domain(backend_, *config)
                : xl::Result<xl::DomainId>{xl::fail(xl::ErrorKind::Invalid, "its configuration is refused.")};
        const auto runs = id ? backend_.unpause(*id) : xl::Result<void>{};
        if (id && runs) return *id;
        tell({what, Verdict::Failed, id ? runs.error().sentence : id.error().sentence});
        if (id) (void)backend_.destroy(*id);
        return std::nullopt;
    }

    std::string log_of(xl::DomainId id) {
        const auto log = backend_.console_log(id);
        return log ? *log : std::string{};
    }

    // A small guest on that CPU measures by its own counter what an exit to its VMM and back takes; then IPC
    // is measured in its place.
    void costs_of(std::uint32_t cpu) {
        const std::string what = format("CPU %u", cpu);
        const auto id = start(
            what, "name=\"selftest\"\nkernel=\"/boot/bench-guest\"\nmemory=64\non_poweroff=\"preserve\"\n" +
                      format("cpus=\"%u\"\n", cpu));
        if (!id) return;
        const auto end = backend_.wait(*id, xl::WaitFor::Shutdown, kGuestMs);
        const std::string log = log_of(*id);
        const auto cpuid = figure(log, "BENCH guest.cpuid "),
                   call = figure(log, "BENCH guest.hypercall_xen_version ");
        const auto ipc = backend_.ipc_cost(*id);
        (void)backend_.destroy(*id);
        if (!end || !*end || !cpuid || !call)
            return tell({what, Verdict::Failed,
                         "the guest that measures exits did not end well; `xl dmesg` tells more"});
        if (!ipc || ipc->cpu != cpu)
            return tell({what, Verdict::Failed,
                         ipc ? format("its guest was on CPU %u", ipc->cpu) : ipc.error().sentence});
        tell({what, Verdict::Works,
              format(
                  "exits: a guest's CPUID takes %llu ticks (%llu ns), a hypercall %llu; IPC: a call and its "
                  "answer %llu (%llu ns)",
                  *cpuid, nanoseconds(*cpuid), *call, ULL{ipc->ticks}, nanoseconds(ipc->ticks))});
    }

    static std::optional<ULL> figure(const std::string& log, std::string_view name) {
        const auto at = log.find(name);
        if (at == std::string::npos) return std::nullopt;
        const auto from = at + name.size();
        return xl::parse_decimal(std::string_view{log}.substr(from, log.find(' ', from) - from));
    }

    // Debian's kernel to its shell, and down again by xenstore.
    void guest_boots() {
        const std::uint64_t begin = tsc();
        const auto id = start("Debian guest",
                              "name=\"selftest\"\nkernel=\"/boot/vmlinuz-cloud\"\nramdisk=\"/boot/"
                              "initramfs\"\nextra=\"console=hvc0 quiet\"\nmemory=256\n"
                              "vcpus=2\non_poweroff=\"preserve\"\non_crash=\"preserve\"\n");
        if (!id) return;
        bool ready = false;
        while (!ready && milliseconds(tsc() - begin) < kGuestMs && !context_.console.interrupted()) {
            backend_.sleep_ms(kSliceMs);
            ready = log_of(*id).find("GUEST-READY") != std::string::npos;
        }
        const ULL took = milliseconds(tsc() - begin);
        const auto asked = ready ? backend_.shutdown(*id) : xl::Result<void>{};
        const auto end = ready && asked ? backend_.wait(*id, xl::WaitFor::Shutdown, kGuestMs)
                                        : xl::Result<std::optional<xl::DomainEnd>>{};
        const bool down = end && *end && !(*end)->died && (*end)->reason == xl::ShutdownReason::Poweroff;
        if (ready && down)
            tell({"Debian guest", Verdict::Works,
                  format("its shell after %llu ms with 2 vCPUs, and an orderly shutdown", took)});
        else
            tell({"Debian guest", Verdict::Failed,
                  !ready   ? "it did not reach its shell"
                  : !asked ? asked.error().sentence
                           : "it did not shut down"});
        (void)backend_.destroy(*id);
    }

    int conclude() {
        context_.console.print(
            format("selftest: %u work, %u missing, %u failed.\n", count_[0], count_[1], count_[2]));
        context_.console.print(
            "Please send this page, `xl dmesg` and `xl info` to Bulkhead's makers, with the names of the "
            "machine and of its mainboard.\n");
        return count_[2] == 0 ? xl::kSuccess : xl::kFailure;
    }

    static constexpr std::int64_t kGuestMs = 120'000;
    xl::Context& context_;
    xl::Backend& backend_;
    std::uint32_t cpus_ = 0;
    std::uint64_t khz_ = 1;
    bool virtual_ = false;
    unsigned count_[3] = {};
};

}  // namespace

int selftest(xl::Context& context, xl::Words words) {
    if (words.size() != 1) {
        context.console.print("Usage: selftest\n");
        return xl::kFailure;
    }
    return Selftest{context}.run();
}

}  // namespace bulkhead::shell
