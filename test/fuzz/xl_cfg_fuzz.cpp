// SPDX-License-Identifier: Apache-2.0
// Any text as an xl.cfg: no crash, an error has a place, and what is accepted is within the documented
// limits.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "toolstack/xl/domain_config.hpp"

using namespace bulkhead::xl;

namespace {

void require(bool condition) {
    if (!condition) std::abort();
}

void check_limits(const DomainConfig& config) {
    require(valid_domain_name(config.name));
    require(!config.kernel.empty());
    require(config.memory_mib >= DomainConfig::kMinMemoryMib && config.memory_mib <= config.max_memory_mib);
    require(config.max_memory_mib <= DomainConfig::kMaxMemoryMib);
    require(config.vcpus >= 1 && config.vcpus <= config.max_vcpus &&
            config.max_vcpus <= DomainConfig::kMaxVcpus);
    require(config.cpu_weight >= 1 && config.cpu_weight <= 65535);
    require(config.affinity.empty() || config.affinity.size() == config.max_vcpus);
    for (const auto& set : config.affinity) {
        const auto again = CpuSet::parse(set.text());
        require(again && *again == set);
    }
    require(config.command_line.size() <= DomainConfig::kMaxCommandLine);
    for (const char c : config.json(4)) require(c == '\n' || (c >= ' ' && c <= '~'));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    ConfigFile file;
    const auto ok = file.append("f", text);
    if (!ok) {
        require(ok.error().sentence.starts_with("f:"));
        return 0;
    }
    const auto config = DomainConfig::parse(file);
    if (config) {
        check_limits(*config);
    } else {
        require(!config.error().empty());
        for (const auto& error : config.error())
            require(error.sentence.ends_with('.') || error.sentence.ends_with(')'));
    }
    return 0;
}
