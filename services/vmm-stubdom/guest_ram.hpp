// SPDX-License-Identifier: Apache-2.0
// The guest's physical memory: frames made of this domain's own Untypeds, each mapped twice, into the guest's
// nested tables and into this domain's window (never executable here). RAM in 2 MiB frames, special pages and
// what the guest asks for later in 4 KiB ones.
//
// Made once; populate() may be called later under the VM's lock. The window keeps the guest's layout, so that
// an address is translated by one addition.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "lib/cap/environment.hpp"
#include "services/vmm-stubdom/loader/guest_layout.hpp"
#include "services/vmm-stubdom/memory/guest_memory.hpp"
#include "services/vmm-stubdom/vm.hpp"

namespace bulkhead::vmm {

class GuestRam final : public PageProvider {
  public:
    // `ram_bytes` is rounded down to 2 MiB. The error is a sentence.
    static std::expected<std::unique_ptr<GuestRam>, std::string> create(cap::Environment& env,
                                                                        uint64_t ram_bytes);

    const GuestMemory& memory() const { return *memory_; }
    const GuestLayout& layout() const { return layout_; }
    uint64_t ram_bytes() const { return ram_bytes_; }
    cap::CapAddr root() const { return root_.address(); }
    std::byte* special_page(Gfn frame) const;  // kConsoleFrame, kStoreFrame

    std::byte* populate(Gfn frame) override;

  private:
    explicit GuestRam(cap::Environment& env, uint64_t ram_bytes)
        : env_{env}, ram_bytes_{ram_bytes}, layout_{ram_bytes} {}
    cap::Status add_range(uint64_t guest_base, uint64_t bytes, std::byte*& host);
    cap::Status add_chunk(uint64_t guest_base, uint64_t host_base, uint64_t most, uint64_t& done);
    cap::Status add_small(uint64_t guest_base, unsigned bits, std::byte*& host);
    cap::Status map_guest(uint64_t address, cap::CapAddr first, unsigned bits, uint64_t count);

    cap::Environment& env_;
    const uint64_t ram_bytes_;
    const GuestLayout layout_;
    cap::Cap<cap::PageTable> root_;
    std::vector<cap::Cap<cap::PageTable>> tables_;
    cap::Cap<cap::CNode> slots_;  // of the large frames and of their copies
    uint32_t next_slot_ = 0;
    std::vector<cap::Cap<cap::Untyped>> chunks_;
    struct Small {
        cap::Cap<cap::Frame> frame, guest_copy;
        cap::Mapping mapping;
    };
    std::vector<Small> small_;
    std::byte* special_ = nullptr;
    std::optional<GuestMemory> memory_;
};

}  // namespace bulkhead::vmm
