// SPDX-License-Identifier: Apache-2.0
#include "toolstack/supervisor/domain_builder.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

#include "toolstack/supervisor/grants.hpp"
#include "toolstack/supervisor/image_loader.hpp"
#include "toolstack/supervisor/start_page.hpp"

namespace bulkhead::supervisor {
namespace {

using abi::ObjectType;
using cap::CapAddr;
using cap::Status;
namespace rights = abi::rights;

constexpr uint64_t kPage = abi::kPageSize;
constexpr unsigned kKeeperBits = 12, kCSpaceBits = 11, kRuntimeBits = 12;
constexpr uint32_t kFirstImageFrame = 1, kMaxImageFrames = 1024;  // slots of the runtime's CNode
constexpr uint32_t kRuntimeSlot =
    64;  // root slots of the new domain: [kFirstNamed, 64) named capabilities, 64 the
constexpr uint32_t kFirstUntypedSlot =
    65;  // runtime's CNode, then Untypeds and scheduling contexts, then free ones
constexpr uint32_t kMaxUntypeds = 96, kFirstContextSlot = kFirstUntypedSlot + kMaxUntypeds,
                   kFirstFreeSlot = kFirstContextSlot + 20;
constexpr uint64_t kFilesWindow = 0x0000'0040'0000'0000;  // kernel, ramdisk, bootfs, kept memory

constexpr uint64_t page_up(uint64_t value) {
    return (value + kPage - 1) & ~(kPage - 1);
}

// Steps in order, until one fails.
template <typename... Steps>
Outcome in_order(Steps... steps) {
    Outcome result;
    (void)((result = steps(), result.has_value()) && ...);
    return result;
}

// One construction. Each step returns the Status of what failed; `step` says what it was about.
class Builder {
  public:
    Builder(Stock& stock, Domain& domain, uint32_t index, const SpawnExtras& extras)
        : stock_{stock},
          env_{stock.env},
          domain_{domain},
          index_{index},
          extras_{extras},
          start_{domain.name, domain.tag, domain.incarnation} {}

    BuildResult run() {
        const auto file = stock_.bootfs.find(domain_.spec->image);
        if (!file) return std::unexpected("there is no file '" + domain_.spec->image + "' in the bootfs");
        auto image = parse_image(stock_.bootfs.contents(*file));
        if (!image) return std::unexpected(domain_.spec->image + ": " + image.error());
        const Outcome done = in_order([&] { return objects(); }, [&] { return images(*image, *file); },
                                      [&] { return own_capabilities(); }, [&] { return grants(); },
                                      [&] { return start_pages(*image); }, [&] { return hand_over(); },
                                      [&] { return start_thread(); });
        if (!done) return std::unexpected(std::string{step_} + ": " + cap::describe(done.error()));
        return {};
    }

  private:
    CapAddr in_cspace(uint32_t slot) const { return {domain_.cspace_slot, slot}; }
    CapAddr memory() const { return domain_.chunks[0]; }

    static Outcome outcome(Status status) {
        if (status != Status::Ok) return std::unexpected{status};
        return {};
    }
    Outcome make(ObjectType type, uint64_t size, CapAddr slot) {
        return outcome(cap::sys::retype(memory(), type, size, slot));
    }
    std::expected<CapAddr, Status> make_kept(ObjectType type, uint64_t size = 0) {
        const auto slot = keeper_->take();
        if (slot)
            if (auto made = make(type, size, *slot); !made) return std::unexpected{made.error()};
        return slot;
    }
    Outcome give(CapAddr from, uint32_t slot, uint8_t with) {
        return outcome(cap::sys::cap_copy(in_cspace(slot), from, with));
    }

    Outcome objects() {
        step_ = "making its objects";
        const struct {
            uint32_t& slot;
            unsigned bits;
        } cnodes[] = {{domain_.keeper_slot, kKeeperBits},
                      {domain_.cspace_slot, kCSpaceBits},
                      {domain_.runtime_slot, kRuntimeBits}};
        for (const auto& [slot, bits] : cnodes) {
            const auto taken = env_.cspace.slots().allocate();
            if (!taken) return std::unexpected{Status::OutOfMemory};
            slot = taken->slot();
            if (auto made = make(ObjectType::CNode, bits, *taken); !made) return made;
            if (auto tagged = tag(*taken); !tagged) return tagged;
        }
        keeper_.emplace(domain_.keeper_slot, kKeeperBits);
        auto space = AddressSpace::create(env_, memory(), *keeper_);
        if (!space) return std::unexpected{space.error()};
        space_.emplace(std::move(*space));
        const auto thread = make_kept(ObjectType::Thread);
        if (!thread) return std::unexpected{thread.error()};
        domain_.thread = *thread;
        if (auto tagged = tag(*thread); !tagged) return tagged;
        return contexts();
    }

    Outcome contexts() {
        const DomainSpec& spec = *domain_.spec;
        domain_.contexts.clear();
        for (uint32_t i = 0; i <= extras_.vcpus; i++) {
            const auto context = make_kept(ObjectType::SchedContext);
            if (!context) return std::unexpected{context.error()};
            if (auto tagged = tag(*context); !tagged) return tagged;
            const uint32_t cpus = env_.kernel.cpus;
            const uint32_t cpu = (i == 0 ? spec.cpu : extras_.vcpu_cpu[i - 1]) %
                                 cpus;  // the main thread calls services: where they are
            const Status status = cap::sys::sched_configure(
                CapAddr{0, abi::root::kSchedControl}, *context, cpu,
                i == 0 ? spec.priority : spec.vcpu_priority, i == 0 ? spec.weight : extras_.weight,
                i == 0 ? abi::sched_budget(spec.budget_us, spec.period_us) : 0);
            if (status != Status::Ok) return std::unexpected{status};
            domain_.contexts.push_back(*context);
        }
        return {};
    }

    Outcome tag(CapAddr object) {
        return outcome(cap::sys::tag_set(CapAddr{0, abi::root::kTagControl}, object, domain_.tag));
    }

    Outcome images(const Image& image, const BootFile& file) {
        step_ = "mapping its image";
        domain_.image_span = image.span;
        const PageSlots pages{{domain_.runtime_slot, kFirstImageFrame}, kMaxImageFrames};
        abi::StartInfo& info = start_.info();
        return in_order(
            [&] {
                return load_image(*space_, image, stock_.bootfs_frames, file.offset, abi::kImageBase, &pages,
                                  &info);
            },
            [&] {
                return load_image(*space_, stock_.blob, stock_.bootfs_frames, stock_.blob_offset, blob_base(),
                                  nullptr, nullptr);
            });
    }
    // The blob's first segment lies at kBlobBase, whatever address it is linked at.
    uint64_t blob_base() const { return abi::kBlobBase - stock_.blob.segments.front().address; }

    Outcome own_capabilities() {
        step_ = "giving it its own capabilities";
        namespace at = abi::start;
        constexpr uint8_t all = rights::kAll;
        const struct {
            CapAddr from;
            uint32_t slot;
            uint8_t with;
        } own[] = {{{0, domain_.cspace_slot}, at::kCNode, all},
                   {space_->root(), at::kVSpace, all},
                   {domain_.thread, at::kThread, all},
                   {domain_.contexts[0], at::kSchedContext, rights::kRead},
                   {{0, abi::root::kKernelInfo}, at::kKernelInfo, rights::kRead},
                   {{0, domain_.runtime_slot}, kRuntimeSlot, all}};
        for (const auto& one : own)
            if (auto given = give(one.from, one.slot, one.with); !given) return given;
        // What a template's domain logs is about its guest.
        const uint64_t badge = domain_.spec->vcpus_max != 0 ? abi::kLogOfGuest : 0;
        if (auto given =
                outcome(cap::sys::cap_mint(in_cspace(at::kLog), {0, abi::root::kLog}, rights::kWrite, badge));
            !given)
            return given;
        for (uint32_t i = 1; i < domain_.contexts.size(); i++)
            if (auto given = give(domain_.contexts[i], kFirstContextSlot + i - 1, rights::kRead); !given)
                return given;
        abi::StartInfo& info = start_.info();
        info.sched_contexts = {kFirstContextSlot, extras_.vcpus};
        info.cnode_bits = kCSpaceBits;
        info.runtime_cnode = kRuntimeSlot;
        info.runtime_cnode_bits = kRuntimeBits;
        info.runtime_window = {abi::kRuntimeWindow, abi::kRuntimeWindowSize};
        info.window = {abi::kProgramWindow, abi::kProgramWindowSize};
        info.free_slots = {kFirstFreeSlot, (1u << kCSpaceBits) - kFirstFreeSlot};
        info.kernel_info = abi::kStartPages + kPage;
        info.ipc_buffer = abi::kStartPages + 2 * kPage;
        return {};
    }

    Outcome grants() {
        GrantContext context{stock_,       domain_,      index_, extras_,
                             *space_,      *keeper_,     start_, abi::start::kFirstNamed,
                             kRuntimeSlot, kFilesWindow, {}};
        const Outcome given = give_grants(context);
        if (!given) {
            grant_step_ = "granting '" + context.step + "'";
            step_ = grant_step_;
        }
        return given;
    }

    Outcome start_pages(const Image& image) {
        step_ = "writing its start pages";
        constexpr uint64_t flags = abi::map::kRead | abi::map::kWrite;
        const auto buffer = make_kept(ObjectType::Frame, abi::kPageBits);
        if (!buffer) return std::unexpected{buffer.error()};
        const auto mapped =
            space_->map_copy(*buffer, rights::kRead | rights::kWrite, start_.info().ipc_buffer, flags);
        if (!mapped) return std::unexpected{mapped.error()};
        if (auto given =
                give(*buffer, abi::start::kIpcBuffer, rights::kRead | rights::kWrite | rights::kDerive);
            !given)
            return given;
        const auto page = make_kept(ObjectType::Frame, abi::kPageBits);
        if (!page) return std::unexpected{page.error()};
        start_frame_ = *page;
        if (const auto start =
                space_->map_copy(start_frame_, rights::kRead, abi::kStartPages, abi::map::kRead);
            !start)
            return std::unexpected{start.error()};
        const auto kernel_info = space_->map_copy({0, abi::root::kKernelInfo}, rights::kRead,
                                                  start_.info().kernel_info, abi::map::kRead);
        if (!kernel_info) return std::unexpected{kernel_info.error()};
        const uint64_t tsc = cap::read_tsc();
        const StackInputs in{abi::kImageBase + image.program_headers,
                             image.program_header_count,
                             abi::kImageBase + image.entry,
                             abi::kBlobBase,
                             abi::kStartPages,
                             {tsc * 0x9e3779b97f4a7c15u, (tsc ^ domain_.tag) * 0xc2b2ae3d27d4eb4fu},
                             domain_.name};
        const auto stack = make_kept(ObjectType::Frame, kStackBits);
        if (!stack) return std::unexpected{stack.error()};
        domain_.stack = *stack;
        if (auto written = space_->write(*stack, kStackBits, 0,
                                         [&](uint64_t, std::span<std::byte> bytes) {
                                             stack_pointer_ = write_stack(bytes, abi::kStackTop, in);
                                         });
            !written)
            return written;
        return space_->map(*stack, abi::kStackTop - kStackBytes, flags);
    }

    // The largest remaining piece is the personality's heap, the others are the program's. A spawned domain's
    // further chunks are the program's whole.
    Outcome hand_over() {
        step_ = "handing over its memory";
        std::vector<std::pair<unsigned, CapAddr>> pieces;
        for (;;) {
            const auto state = cap::sys::untyped_info(memory());
            if (!state.ok()) return std::unexpected{state.status};
            const uint64_t used = page_up((uint64_t{1} << state.size_bits) - state.free_bytes);
            const uint64_t left = (uint64_t{1} << state.size_bits) - used;
            if (left < kPage || pieces.size() + domain_.chunks.size() > kMaxUntypeds) break;
            const unsigned bits = std::min(used ? static_cast<unsigned>(std::countr_zero(used)) : 63u,
                                           static_cast<unsigned>(std::bit_width(left)) - 1);
            const auto slot = make_kept(ObjectType::Untyped, bits);
            if (!slot) return std::unexpected{slot.error()};
            pieces.emplace_back(bits, *slot);
        }
        std::ranges::sort(pieces, [](const auto& a, const auto& b) { return a.first > b.first; });
        if (pieces.empty()) return std::unexpected{Status::OutOfMemory};
        uint32_t next = kFirstUntypedSlot;
        for (const auto& piece : pieces)
            if (auto moved = outcome(cap::sys::cap_move(in_cspace(next++), piece.second)); !moved)
                return moved;
        for (size_t i = 1; i < domain_.chunks.size(); i++) {
            const auto state = cap::sys::untyped_info(domain_.chunks[i]);
            if (!state.ok()) return std::unexpected{state.status};
            if (auto made = outcome(cap::sys::retype(domain_.chunks[i], ObjectType::Untyped, state.size_bits,
                                                     in_cspace(next++)));
                !made)
                return made;
        }
        abi::StartInfo& info = start_.info();
        info.runtime_untyped = {kFirstUntypedSlot, 1};
        info.untyped = {kFirstUntypedSlot + 1, next - kFirstUntypedSlot - 1};
        return {};
    }

    // The StartInfo page is mapped early and written last, when all is known.
    Outcome write_start_info() {
        auto copy = env_.cspace.copy<cap::Frame>(start_frame_, rights::kRead | rights::kWrite);
        if (!copy) return std::unexpected{copy.error()};
        auto mapping = env_.mapper.map(copy->address(), abi::kPageBits, abi::map::kRead | abi::map::kWrite);
        if (!mapping) return std::unexpected{mapping.error()};
        std::memcpy(mapping->data(), &start_.info(), sizeof(abi::StartInfo));
        return {};
    }

    Outcome start_thread() {
        step_ = "starting its thread";
        if (auto written = write_start_info(); !written) return written;
        using abi::ThreadSlot;
        const auto fault = keeper_->take();
        if (!fault) return std::unexpected{fault.error()};
        if (auto minted =
                outcome(cap::sys::cap_mint(*fault, stock_.mailbox, kFaultRights, kFromDomain | index_));
            !minted)
            return minted;
        const std::pair<ThreadSlot, CapAddr> slots[] = {
            {ThreadSlot::CSpace, {0, domain_.cspace_slot}},
            {ThreadSlot::VSpace, space_->root()},
            {ThreadSlot::IpcBuffer, in_cspace(abi::start::kIpcBuffer)},
            {ThreadSlot::FaultEndpoint, *fault},
            {ThreadSlot::SchedContext, domain_.contexts[0]}};
        for (const auto& [slot, what] : slots)
            if (auto set = outcome(cap::sys::thread_set(domain_.thread, slot, what)); !set) return set;
        return outcome(
            cap::sys::thread_start(domain_.thread, blob_base() + stock_.blob.entry, stack_pointer_, 0, 0, 0));
    }

    Stock& stock_;
    cap::Environment& env_;
    Domain& domain_;
    const uint32_t index_;
    const SpawnExtras& extras_;
    StartPage start_;
    std::optional<Keeper> keeper_;
    std::optional<AddressSpace> space_;
    CapAddr start_frame_;
    uint64_t stack_pointer_ = 0;
    std::string_view step_;
    std::string grant_step_;
};

}  // namespace

BuildResult build_domain(Stock& stock, Domain& domain, uint32_t index, const SpawnExtras& extras) {
    BuildResult built = Builder{stock, domain, index, extras}.run();
    if (built) {
        domain.state = abi::DomainState::Running;
        return built;
    }
    take_down(stock, domain);
    return std::unexpected("supervisor: " + domain.name + ": cannot be started: " + built.error());
}

void take_down(Stock& stock, Domain& domain) {
    for (const CapAddr chunk : domain.chunks) cap::drop(cap::sys::cap_revoke(chunk));
    // A dom0 that died while it took a domain's memory back leaves us without the chunk, and with these: its
    // revoke begins with our copy. They hold every thread of the domain. Revoked first, because the domain
    // has a copy of its CSpace in its CSpace.
    for (uint32_t* slot : {&domain.keeper_slot, &domain.cspace_slot, &domain.runtime_slot}) {
        if (*slot == 0) continue;
        const CapAddr address{0, std::exchange(*slot, 0)};
        cap::drop(cap::sys::cap_revoke(address));
        cap::drop(cap::sys::cap_delete(address));
        stock.env.cspace.slots().free(address);
    }
    domain.contexts.clear();
    domain.thread = domain.stack = domain.control = domain.control_client = CapAddr{};
}

}  // namespace bulkhead::supervisor
