// SPDX-License-Identifier: Apache-2.0
// xen_version, console_io, vm_assist, set_timer_op.
#include <algorithm>
#include <cstring>

#include "services/vmm-stubdom/hypercalls.hpp"
#include "services/vmm-stubdom/vm.hpp"
#include "services/vmm-stubdom/xen_abi.hpp"

namespace bulkhead::vmm {

namespace {

// Never XENFEAT_hvm_pirqs: Linux would route its interrupts through event channels that do not exist here.
constexpr uint32_t kFeatures = 1u << XENFEAT_writable_page_tables | 1u << XENFEAT_auto_translated_physmap |
                               1u << XENFEAT_hvm_callback_vector | 1u << XENFEAT_hvm_safe_pvclock |
                               1u << XENFEAT_memory_op_vnode_supported | 1u << 16 /* not_direct_mapped */;
static_assert(kFeatures == 0x12305);

template <std::size_t N>
int64_t put_text(HypercallContext& c, const char* text) {
    char buffer[N] = {};
    std::strncpy(buffer, text, N - 1);
    return c.put(c.arg[1], buffer) ? 0 : -XEN_EFAULT;
}

int64_t compile_info(HypercallContext& c) {
    xen_compile_info_t info{};
    std::strncpy(info.compiler, "g++", sizeof info.compiler - 1);
    std::strncpy(info.compile_by, "bulkhead", sizeof info.compile_by - 1);
    std::strncpy(info.compile_domain, "bulkhead", sizeof info.compile_domain - 1);
    std::strncpy(info.compile_date, "unknown", sizeof info.compile_date - 1);
    return c.put(c.arg[1], info) ? 0 : -XEN_EFAULT;
}

int64_t get_features(HypercallContext& c) {
    xen_feature_info_t info{};
    if (!c.get(c.arg[1], info)) return -XEN_EFAULT;
    info.submap = info.submap_idx == 0 ? kFeatures : 0;
    return c.put(c.arg[1], info) ? 0 : -XEN_EFAULT;
}

}  // namespace

int64_t xen_version(HypercallContext& c) {
    switch (static_cast<uint32_t>(c.arg[0])) {
        case XENVER_version: return (CpuidPolicy::kXenMajor << 16) | CpuidPolicy::kXenMinor;
        case XENVER_extraversion: return put_text<XEN_EXTRAVERSION_LEN>(c, ".0-bulkhead");
        case XENVER_compile_info: return compile_info(c);
        case XENVER_capabilities: return put_text<1024>(c, "xen-3.0-x86_64 hvm-3.0-x86_64");
        case XENVER_changeset: return put_text<64>(c, "unavailable");
        case XENVER_platform_parameters: return c.put(c.arg[1], uint64_t{0}) ? 0 : -XEN_EFAULT;
        case XENVER_get_features: return get_features(c);
        case XENVER_pagesize: return 4096;
        case XENVER_guest_handle: return c.put(c.arg[1], c.vm.config().uuid) ? 0 : -XEN_EFAULT;
        case XENVER_commandline: return put_text<1024>(c, "");
        default: return -XEN_ENOSYS;
    }
}

int64_t console_io(HypercallContext& c) {
    if (static_cast<uint32_t>(c.arg[0]) != CONSOLEIO_write) return -XEN_ENOSYS;
    constexpr uint64_t kMost = 4096;  // bounds what one exit does
    uint64_t left = std::min<uint64_t>(static_cast<uint32_t>(c.arg[1]), kMost), at = c.arg[2];
    char text[256];
    while (left) {
        const std::size_t part = std::min<uint64_t>(left, sizeof text);
        const std::size_t got = c.walker.copy_in(at, std::as_writable_bytes(std::span{text, part}));
        c.vm.observer().console_text({text, got});
        if (got != part) return -XEN_EFAULT;
        left -= part;
        at += part;
    }
    return 0;
}

int64_t vm_assist(HypercallContext& c) {
    const auto command = static_cast<uint32_t>(c.arg[0]), type = static_cast<uint32_t>(c.arg[1]);
    if (command > VMASST_CMD_disable) return -XEN_ENOSYS;
    if (type != VMASST_TYPE_runstate_update_flag) return -XEN_EINVAL;
    c.vm.runstate_flag.store(command == VMASST_CMD_enable, std::memory_order_relaxed);
    return 0;
}

int64_t set_timer_op(HypercallContext& c) {
    if (c.arg[0] == 0)
        c.vcpu.clock().stop_singleshot();
    else
        c.vcpu.clock().set_singleshot(c.arg[0]);
    return 0;
}

}  // namespace bulkhead::vmm
