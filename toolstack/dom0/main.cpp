// SPDX-License-Identifier: Apache-2.0
// dom0: connects to the services, takes up what the last dom0 left, starts the guests of /etc/xen/auto, and
// gives the operator a prompt, whatever is missing.
#include <malloc.h>

#include <cstdio>
#include <cstdlib>

#include "toolstack/dom0/machine.hpp"
#include "toolstack/dom0/orderly_shutdown.hpp"
#include "toolstack/dom0/shell/shell.hpp"
#include "toolstack/xl/create.hpp"

namespace bulkhead::dom0 {
namespace {

constexpr const char* kAuto = "/etc/xen/auto";
constexpr std::size_t kHeap = 4 << 20;
constexpr std::int64_t kConsoleMs = 20'000, kServicesMs = 5'000;

cap::CapAddr named(const abi::StartInfo& start, const char* name) {
    const abi::NamedCap* found = cap::find_cap(start, name);
    return found ? cap::address(*found) : cap::CapAddr{};
}

std::span<std::uint8_t> mapped(const abi::StartInfo& start, const char* name) {
    const abi::NamedCap* found = cap::find_cap(start, name);
    if (!found) return {};
    return {reinterpret_cast<std::uint8_t*>(found->mapped.base), found->mapped.size};
}

// The State of the last dom0, or a new one. The sentence says what was wrong, if anything was.
std::string load_state(const abi::StartInfo& start, Journal& journal, State& state, Memory& memory) {
    const abi::NamedCap* kept = cap::find_cap(start, "kept");
    const std::size_t slots = std::size_t{1} << kept->value;
    const auto bytes = journal.load();
    auto last = bytes ? State::decode(*bytes, slots) : std::nullopt;
    if (last) {
        state = std::move(*last);
        memory.recover();
        return {};
    }
    state.nodes.resize(slots);
    const abi::NamedCap* free = cap::find_cap(start, "memory");
    memory.adopt(free ? static_cast<std::uint32_t>(free->value) : 0);
    if (!bytes && !journal.damaged()) return {};
    memory.recover();  // nobody knows whose what was: all of it is taken back
    return "dom0: the journal is damaged; all guests were destroyed\n";
}

class Dom0 {
  public:
    Dom0(const abi::StartInfo& start, cap::Environment& env, ring::Hub& hub)
        : start_{start},
          loop_{hub},
          spawner_{env, named(start, "spawn")},
          files_{mapped(start, "bootfs")},
          journal_{std::as_writable_bytes(mapped(start, "journal"))},
          memory_{named(start, "kept").slot(), state_},
          console_{loop_, named(start, "connect-console-control"), idle_},
          store_{loop_, named(start, "connect-xenstore-control"), idle_},
          platform_{loop_, named(start, "connect-platform-control")} {}

    void run() {
        console_.start();
        store_.start();
        platform_.start();
        std::string problem = load_state(start_, journal_, state_, memory_);
        cap::log_line(
            xl::format("dom0: start %u: %zu guests in the journal, %llu MiB of %llu MiB are free for guests",
                       start_.incarnation + 1, state_.domains.size(),
                       static_cast<unsigned long long>(memory_.free_bytes() >> 20),
                       static_cast<unsigned long long>(memory_.total_bytes() >> 20)),
            abi::LogLevel::Info);
        if (!files_.error().empty()) problem += "dom0: " + files_.error() + "\n";
        (void)loop_.until(loop_.deadline_ms(kConsoleMs), [&] { return console_.up(); });
        (void)loop_.until(loop_.deadline_ms(kServicesMs), [&] { return store_.up() && platform_.up(); });
        greet(problem);
        guests_.recover();
        if (start_.incarnation == 0) start_guests();
        tell_time();
        shell::Shell shell{machine_, console_, start_.incarnation ? shell::Shell::kCutShort : 0};
        if (start_.incarnation == 0 && wants_selftest()) (void)shell.run_line("selftest");
        shell.run();
    }

  private:
    void greet(const std::string& problem) {
        const abi::KernelInfo& kernel = loop_.env().kernel;
        std::string text =
            xl::format("Bulkhead %.64s, dom0%s. `help` lists the commands.\n", kernel.version,
                       start_.incarnation ? xl::format(" (start %u)", start_.incarnation + 1).c_str() : "");
        text += problem;
        if (!store_.up())
            text += "dom0: xenstore does not answer; guests cannot be started without it (`stubdom list`).\n";
        if (!platform_.up())
            text +=
                "dom0: platform does not answer; there is no wall clock and no power-off (`stubdom list`).\n";
        screen_.print(text);
    }

    // The boot option "selftest", which a menu entry of the boot medium has.
    bool wants_selftest() const {
        const abi::BootInfo* info = cap::boot_info(start_);
        return info && info->chosen.selftest != 0;
    }

    // Of the machine's start, where the counter starts with it (an emulator's does; firmware may have set it
    // otherwise).
    void tell_time() {
        const abi::KernelInfo& kernel = loop_.env().kernel;
        const std::uint64_t now = cap::read_tsc(),
                            ms = kernel.tsc_khz ? (now - kernel.boot_tsc) / kernel.tsc_khz : 0;
        cap::log_line(xl::format("dom0: at its prompt, %llu ms after the kernel's start, tsc=%llu",
                                 static_cast<unsigned long long>(ms), static_cast<unsigned long long>(now)),
                      abi::LogLevel::Info);
    }

    void start_guests() {
        const auto names = files_.list(kAuto);
        if (!names) return;
        xl::Context context{machine_, screen_};
        for (const std::string& name : *names) {
            if (name.ends_with('/')) continue;
            auto config = xl::load_config(context, std::string{kAuto} + "/" + name, "");
            if (!config) continue;
            screen_.print("dom0: starting " + xl::printable(config->name) + "\n");
            auto id = xl::build_domain(machine_, *config);
            auto running = id ? machine_.unpause(*id) : xl::Result<void>{std::unexpected(id.error())};
            if (!running)
                screen_.print("dom0: " + xl::printable(config->name + ": " + running.error().sentence) +
                              "\n");
        }
    }

    const abi::StartInfo& start_;
    Loop loop_;
    Spawner spawner_;
    Files files_;
    State state_;
    Journal journal_;
    Memory memory_;
    // What dom0 does while it waits for something: it serves its guests, and the power button. Also before it
    // sleeps: news may have come while a command waited for an answer.
    std::function<void(std::uint64_t)> idle_ = [this](std::uint64_t deadline) {
        attend();
        const std::uint64_t due_ms = shutdown_.due_ms();
        loop_.turn(due_ms == ~std::uint64_t{0}
                       ? deadline
                       : std::min(deadline, loop_.env().clock.ticks_of_us(due_ms * 1000)));
        attend();
    };
    void attend() {
        guests_.attend();
        if (!guests_.busy()) shutdown_.attend();
    }
    void say(const std::string& sentence) {
        cap::log_line("dom0: " + sentence);
        screen_.print("\ndom0: " + xl::printable(sentence) + "\n");
    }
    ConsoleTerminal console_;
    RingXenstore store_;
    PlatformClient platform_;
    Guests::Parts parts_{loop_, spawner_, store_, console_, platform_, files_, state_, journal_, memory_};
    Guests guests_{parts_};
    Machine machine_{start_, parts_, guests_, idle_};
    xl::Console screen_{console_};
    OrderlyShutdown shutdown_{{machine_, [this] { return platform_.button_presses(); },
                               [this] { return loop_.env().clock.us_of_ticks(cap::read_tsc()) / 1000; },
                               [this](const std::string& sentence) { say(sentence); }}};
};

int serve(const abi::StartInfo& start) {
    // One heap that has from the beginning what listing all capabilities takes, and keeps it: what `caps`
    // shows of dom0 itself then depends on what dom0 holds, not on what it did before.
    mallopt(M_MMAP_MAX, 0);
    mallopt(M_TRIM_THRESHOLD, 1 << 30);
    void* volatile once = std::malloc(kHeap);  // volatile: the compiler must not see that this does nothing
    std::free(once);
    static cap::Environment env{start};
    for (const char* name : {"spawn", "kept", "journal"})
        if (!cap::find_cap(start, name))
            return cap::log_line(std::string{"dom0: the manifest must grant '"} + name + "'"), 1;
    auto hub = ring::Hub::create(env);
    if (!hub)
        return cap::log_line(std::string{"dom0: cannot make its notification: "} +
                             cap::describe(hub.error())),
               1;
    static Dom0 dom0{start, env, *hub};
    dom0.run();
    return 0;
}

}  // namespace
}  // namespace bulkhead::dom0

int main() {
    const bulkhead::abi::StartInfo* start = bulkhead::cap::start_info();
    if (!start) {
        std::fputs("dom0: this program is a stub domain of Bulkhead\n", stderr);
        return 1;
    }
    return bulkhead::dom0::serve(*start);
}
