// SPDX-License-Identifier: Apache-2.0
// A guest's nodes in xenstore, as libxl 4.17 writes them for a PVH guest. What the guest may write it owns;
// all else it reads.
#pragma once

#include "toolstack/dom0/ring_xenstore.hpp"
#include "toolstack/dom0/state.hpp"
#include "toolstack/dom0/vmm_client.hpp"

namespace bulkhead::dom0 {

xl::Result<void> write_guest_nodes(RingXenstore& store, const DomainRecord& record, const VmmState& vmm,
                                   std::uint64_t start_time);
xl::Result<void> remove_guest_nodes(RingXenstore& store, const DomainRecord& record);
xl::Result<void> rename_guest_nodes(RingXenstore& store, const DomainRecord& record);

std::string guest_path(std::uint32_t domain);

}  // namespace bulkhead::dom0
