// SPDX-License-Identifier: Apache-2.0
#include "services/vmm-stubdom/standalone.hpp"

#include <charconv>
#include <deque>
#include <optional>
#include <string>

#include "services/vmm-stubdom/console_link.hpp"
#include "services/vmm-stubdom/guest.hpp"
#include "services/vmm-stubdom/store_link.hpp"
#include "toolstack/supervisor/bootfs.hpp"

namespace bulkhead::vmm {

namespace {

class LogConsole final : public ConsoleSink {
  public:
    std::size_t write(std::string_view text) override {
        for (const char c : text) {
            if (c == '\n') {
                cap::log_line(line_);
                line_.clear();
            } else if (c != '\r') {
                line_ += c;
            }
        }
        if (line_.size() > 200) {
            cap::log_line(line_);
            line_.clear();
        }
        return text.size();
    }
    bool at_prompt() {
        const bool there =
            line_.find("# ") != std::string::npos;  // the shell may ask the terminal something after it
        if (there) cap::log_line(line_), line_.clear();
        return there;
    }

  private:
    std::string line_;
};

// Nobody answers: the guest's xenbus waits for ever.
class NoStore final : public XenstoreLink {
  public:
    bool request(const xsd_sockmsg&, std::string_view) override { return true; }
};

struct Inputs {
    std::span<const std::byte> kernel, ramdisk;
    std::string command_line = "console=hvc0 earlyprintk=xen";
    unsigned vcpus = 1, memory_mib = 192;
    std::deque<std::string> typed;  // one line at each prompt
};

std::span<const std::byte> named(const abi::StartInfo& start, const char* name) {
    const abi::NamedCap* found = cap::find_cap(start, name);
    if (!found || !found->mapped.base) return {};
    return {reinterpret_cast<const std::byte*>(found->mapped.base), found->mapped.size};
}

unsigned number(std::string_view text, unsigned otherwise) {
    unsigned value = otherwise;
    std::from_chars(text.data(), text.data() + text.size(), value);
    return value;
}

// "key = value" lines: vcpus, memory (MiB), cmdline, type (a line to type at a shell prompt, any number of
// them).
void read_config(std::string_view text, Inputs& in) {
    while (!text.empty()) {
        const std::size_t end = text.find('\n');
        const std::string_view line = text.substr(0, end);
        const std::size_t equals = line.find(" = ");
        if (equals != std::string_view::npos) {
            const std::string_view key = line.substr(0, equals), value = line.substr(equals + 3);
            if (key == "vcpus") in.vcpus = number(value, in.vcpus);
            if (key == "memory") in.memory_mib = number(value, in.memory_mib);
            if (key == "cmdline") in.command_line = value;
            if (key == "type") in.typed.push_back(std::string{value} + "\n");
        }
        if (end == std::string_view::npos) return;
        text.remove_prefix(end + 1);
    }
}

Inputs find_inputs(const abi::StartInfo& start) {
    Inputs in;
    in.kernel = named(start, "kernel");
    in.ramdisk = named(start, "ramdisk");
    const auto archive = named(start, "bootfs");
    if (archive.empty()) return in;
    const auto files =
        supervisor::Bootfs::open({reinterpret_cast<const uint8_t*>(archive.data()), archive.size()});
    if (!files) return in;
    const auto file = [&](const char* name) -> std::span<const std::byte> {
        const auto found = files->find(name);
        return found ? std::as_bytes(files->contents(*found)) : std::span<const std::byte>{};
    };
    if (in.kernel.empty()) in.kernel = file("kernel");
    if (in.ramdisk.empty()) in.ramdisk = file("ramdisk");
    const auto config = file("guest.cfg");
    read_config({reinterpret_cast<const char*>(config.data()), config.size()}, in);
    return in;
}

}  // namespace

int run_standalone(cap::Environment& env, ring::Hub& hub, cap::CapAddr wake) {
    Inputs in = find_inputs(env.start);
    if (in.kernel.empty())
        return cap::log_line("vmm: it was given neither a control endpoint nor a kernel"), 1;
    GuestConfig config;
    config.vm.vcpus = in.vcpus;
    config.vm.ram_bytes = uint64_t{in.memory_mib} << 20;
    config.vm.tsc_khz = env.kernel.tsc_khz;
    config.vm.start_tsc = cap::read_tsc();
    config.command_line = in.command_line;
    config.kernel = in.kernel;
    config.ramdisk = in.ramdisk;

    LogConsole log;
    NoStore no_store;
    std::optional<StoreLink> store;
    if (const abi::NamedCap* endpoint = cap::find_cap(env.start, "connect-xenstore")) {
        store.emplace(hub, cap::address(*endpoint));
        if (store->connect() != cap::Status::Ok) store.reset();
    }
    cap::log_line("vmm: standalone: loading a kernel of " + std::to_string(in.kernel.size()) + " bytes");
    auto guest = Guest::build(env, config, log, store ? static_cast<XenstoreLink&>(*store) : no_store, wake);
    if (!guest) return cap::log_line(guest.error()), 1;
    cap::log_line("vmm: standalone: starting the guest with " + std::to_string(in.vcpus) + " vCPUs");
    if (const auto started = (*guest)->start(); !started) return cap::log_line(started.error()), 1;
    while ((*guest)->vm().run_state() != Vm::RunState::Ended) {
        (*guest)->pump();
        if (store) store->poll(&(*guest)->store());
        if (!in.typed.empty() && log.at_prompt()) {
            (*guest)->console().queue_input(in.typed.front());
            in.typed.pop_front();
        }
        (*guest)->pump();
        cap::drop(hub.wait(abi::kDeadlineNever) ? cap::Status::Ok : cap::Status::Timeout);
    }
    (*guest)->pump();
    cap::log_line(std::string{"vmm: standalone: the guest ended: "} +
                  reason_name((*guest)->vm().report().reason));
    return 0;
}

}  // namespace bulkhead::vmm
