// SPDX-License-Identifier: Apache-2.0
// What a domain shall be: the meaning of an xl.cfg(5) file. A DomainConfig that parse() returned is complete
// and within Bulkhead's limits; only what depends on the machine (free memory, number of CPUs, name in use,
// files) is left to check.
#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <vector>

#include "toolstack/xl/config_file.hpp"
#include "toolstack/xl/cpu_list.hpp"
#include "toolstack/xl/uuid.hpp"

namespace bulkhead::xl {

enum class Action : std::uint8_t { Destroy, Restart, RenameRestart, Preserve };

const char* action_name(Action action);

// 1 to 63 of [A-Za-z0-9_.+-], beginning with a letter or digit, and not a number (which would read as a
// domain ID).
bool valid_domain_name(std::string_view name);

struct DomainConfig {
    static constexpr std::uint64_t kMinMemoryMib = 16;
    static constexpr std::uint64_t kMaxMemoryMib = 1 << 20;
    static constexpr std::uint64_t kDefaultMemoryMib = 128;
    static constexpr std::uint32_t kMaxVcpus = 16;
    static constexpr std::size_t kMaxCommandLine = 2047;  // what a Linux guest keeps

    std::string name;
    std::optional<Uuid> uuid;  // `xl create` fills it when the file has none
    std::string kernel;        // path in dom0's file tree
    std::string ramdisk;       // empty: none
    std::string command_line;  // cmdline=, or root= and extra= put together
    std::uint64_t memory_mib = kDefaultMemoryMib;
    std::uint64_t max_memory_mib = kDefaultMemoryMib;
    std::uint32_t vcpus = 1;  // online at start
    std::uint32_t max_vcpus = 1;
    std::vector<CpuSet> affinity;  // empty: no pinning; else one set per vCPU of max_vcpus
    std::uint32_t cpu_weight = 256;
    Action on_poweroff = Action::Destroy;
    Action on_reboot = Action::Restart;
    Action on_crash = Action::Destroy;

    std::vector<std::string> warnings;  // sentences for the operator; not part of the domain

    // Every problem of the file at once, in the order of its lines.
    static std::expected<DomainConfig, std::vector<Error>> parse(const ConfigFile& file);

    // As `xl create -n` and `xl list -l` show it: the members "c_info", "b_info", "on_…" of one JSON object,
    // each line indented by `indent` spaces.
    std::string json(std::size_t indent) const;
};

}  // namespace bulkhead::xl
