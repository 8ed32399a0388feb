// SPDX-License-Identifier: Apache-2.0
// Any bytes as the system manifest: no crash, an error is a sentence, and what is accepted is within
// docs/manifest.md.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <set>

#include "toolstack/supervisor/manifest.hpp"

using namespace bulkhead::supervisor;

namespace {

void require(bool condition) {
    if (!condition) std::abort();
}

void check(const DomainSpec& spec, const Manifest& manifest, bool is_template) {
    require(!spec.name.empty() && spec.name.size() <= 23 && !spec.image.empty());
    require(spec.priority >= 1 && spec.priority <= 60 && spec.weight >= 1 && spec.weight <= 65535 &&
            spec.cpu <= 63);
    require(spec.budget_us <= spec.period_us);
    require(is_template ? spec.vcpus_max >= 1 && spec.vcpus_max <= 16
                        : spec.memory_kib >= 2048 && spec.tag <= 0x7fef);
    require(spec.grants.size() <= 24);
    std::set<std::string> names;
    for (const Grant& grant : spec.grants) {
        require(!grant.name.empty() && grant.name.size() <= 23 && names.insert(grant.name).second);
        if (grant.type == GrantType::Ports) require(grant.count >= 1 && grant.first + grant.count <= 0x10000);
        if (grant.type == GrantType::IsaIrq) require(grant.first <= 15);
        if (grant.type == GrantType::KeepCNode) require(grant.first >= 4 && grant.first <= 16);
    }
    for (const Connect& connect : spec.connects)
        require(std::ranges::any_of(
            manifest.services, [&](const DomainSpec& other) { return other.accepts == connect.service; }));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    // libfdt wants 8-byte alignment, as a boot module has it; exactly this size, so that a byte read beyond
    // the end is seen.
    void* copy = nullptr;
    if (posix_memalign(&copy, 8, size ? size : 8) != 0) return 0;
    std::copy_n(data, size, static_cast<uint8_t*>(copy));
    const auto manifest = parse_manifest({static_cast<const uint8_t*>(copy), size});
    if (!manifest) {
        require(manifest.error().starts_with("manifest: "));
    } else {
        std::set<uint32_t> tags;
        std::set<std::string> names;
        for (const DomainSpec& spec : manifest->services) {
            check(spec, *manifest, false);
            require(tags.insert(spec.tag).second && names.insert(spec.name).second);
        }
        for (const DomainSpec& spec : manifest->templates) check(spec, *manifest, true);
    }
    std::free(copy);
    return 0;
}
