// SPDX-License-Identifier: Apache-2.0
#include "test/unit/fake_kernel/object_kernel.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>

namespace fake {
namespace {

constexpr uint64_t kPage = abi::kPageSize;

uint64_t bytes_of(ObjectType type, uint64_t size) {
    switch (type) {
        case ObjectType::Untyped:
        case ObjectType::Frame: return uint64_t{1} << size;
        case ObjectType::PageTable: return 8192;
        case ObjectType::CNode: return 128 + (uint64_t{64} << size);
        case ObjectType::Thread:
        case ObjectType::Vcpu: return 4096;
        default: return 512;
    }
}

bool is_memory(ObjectType type) {
    return type == ObjectType::Untyped || type == ObjectType::Frame;
}

}  // namespace

ObjectKernel::ObjectKernel(unsigned memory_bits)
    : previous_{cap::install_fake_kernel(this)}, memory_bytes_{uint64_t{1} << memory_bits} {
    file_ = memfd_create("physical", 0);
    if (file_ < 0 || ftruncate(file_, static_cast<off_t>(memory_bytes_)) != 0) std::abort();
    void* all = mmap(nullptr, memory_bytes_, PROT_READ | PROT_WRITE, MAP_SHARED, file_, 0);
    void* window = mmap(reinterpret_cast<void*>(kWindow), kWindowBytes, PROT_NONE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
    if (all == MAP_FAILED || window == MAP_FAILED) std::abort();
    memory_ = static_cast<std::byte*>(all);
    give(abi::start::kCNode, ObjectType::CNode, abi::kRootCNodeBits).object = 0;
    give(abi::start::kVSpace, ObjectType::PageTable).level = 4;
    give(abi::start::kThread, ObjectType::Thread);
    give(abi::start::kSchedContext, ObjectType::SchedContext);
    give(abi::start::kLog, ObjectType::Log);
}

ObjectKernel::~ObjectKernel() {
    munmap(memory_, memory_bytes_);
    munmap(reinterpret_cast<void*>(kWindow), kWindowBytes);
    close(file_);
    cap::install_fake_kernel(previous_);
}

ObjectKernel::Node& ObjectKernel::give(uint32_t slot, ObjectType type, uint64_t bits, uint64_t physical) {
    auto& node = nodes_[{0, slot}];
    node = std::make_unique<Node>();
    node->type = type;
    node->object = next_object_++;
    node->bits = bits;
    node->physical = physical;
    node->place = {0, slot};
    return *node;
}

bool ObjectKernel::place_of(CapAddr address, Place& out) {
    if (address.cnode() == 0) return out = {0, address.slot()}, address.slot() != 0;
    const auto cnode = nodes_.find({0, address.cnode()});
    if (cnode == nodes_.end() || cnode->second->type != ObjectType::CNode ||
        address.slot() >= uint64_t{1} << cnode->second->bits)
        return false;
    return out = {cnode->second->object, address.slot()}, true;
}

ObjectKernel::Node* ObjectKernel::find(CapAddr address) {
    Place place;
    if (!place_of(address, place)) return nullptr;
    const auto found = nodes_.find(place);
    return found == nodes_.end() ? nullptr : found->second.get();
}

ObjectKernel::Node* ObjectKernel::empty_slot(CapAddr address, Status& status) {
    Place place;
    status = Status::NoCapability;
    if (!place_of(address, place)) return nullptr;
    status = Status::SlotOccupied;
    if (nodes_.contains(place)) return nullptr;
    status = Status::Ok;
    auto& node = nodes_[place];
    node = std::make_unique<Node>();
    node->place = place;
    return node.get();
}

size_t ObjectKernel::count(ObjectType type) const {
    std::set<uint64_t> objects;
    for (const auto& [place, node] : nodes_)
        if (node->type == type) objects.insert(node->object);
    return objects.size();
}

uint64_t ObjectKernel::own_root() const {
    return nodes_.at({0, abi::start::kVSpace})->object;
}

std::byte* ObjectKernel::mapped(uint64_t root_object, uint64_t address, uint64_t* flags) {
    const auto found = pages_.find({root_object, address & ~(kPage - 1)});
    if (found == pages_.end()) return nullptr;
    if (flags) *flags = found->second.second;
    const Node& frame = *found->second.first;
    return memory(frame.physical + (address - frame.address));
}

void ObjectKernel::call(abi::Call number, cap::RawCall& c) {
    const bool refused = ++calls == refuse_at;
    c.number = static_cast<uint64_t>(refused ? refusal : dispatch(number, c));
}

Status ObjectKernel::dispatch(abi::Call number, cap::RawCall& c) {
    using enum abi::Call;
    const uint64_t* a = c.a;
    switch (number) {
        case Retype: return retype(c);
        case UntypedInfo: {
            const Node* node = find(CapAddr{a[0]});
            if (!node) return Status::NoCapability;
            if (node->type != ObjectType::Untyped) return Status::WrongType;
            c.a[2] = node->bits;
            c.a[3] = (uint64_t{1} << node->bits) - node->watermark;
            c.a[4] = node->device;
            c.a[5] = 0;
            return Status::Ok;
        }
        case CapCopy: return copy(CapAddr{a[0]}, CapAddr{a[1]}, static_cast<uint8_t>(a[2]), 0, false);
        case CapMint: return copy(CapAddr{a[0]}, CapAddr{a[1]}, static_cast<uint8_t>(a[2]), a[3], true);
        case CapMove: return move(CapAddr{a[0]}, CapAddr{a[1]});
        case CapDelete: return erase(CapAddr{a[0]});
        case CapRevoke: return revoke(CapAddr{a[0]});
        case CapIdentify: {
            const Node* node = find(CapAddr{a[0]});
            if (!node) return Status::NoCapability;
            c.a[2] = static_cast<uint64_t>(node->type) | uint64_t{node->rights} << 8 | node->bits << 16 |
                     uint64_t{node->root != 0} << 24;
            c.a[3] = node->badge;
            c.a[4] = node->object;
            return Status::Ok;
        }
        case FrameMint: return frame_mint(c);
        case IoPortMint: {
            if (const Status status = copy(CapAddr{a[0]}, CapAddr{a[1]}, abi::rights::kAll, 0, false);
                status != Status::Ok)
                return status;
            find(CapAddr{a[0]})->first_port = static_cast<uint32_t>(a[2]);
            find(CapAddr{a[0]})->ports = static_cast<uint32_t>(a[3]);
            return Status::Ok;
        }
        case FrameMap: return frame_map(c);
        case TableMap: return table_map(c);
        case Unmap:
            for (uint64_t i = 0; i < a[1]; i++) {
                Node* node = find(CapAddr{a[0] + i});
                if (!node) return Status::NoCapability;
                if (node->root == 0) return Status::NotMapped;
                unmap(*node);
            }
            return Status::Ok;
        case ThreadSet: {
            const Node *thread = find(CapAddr{a[0]}), *what = a[2] ? find(CapAddr{a[2]}) : nullptr;
            if (!thread || (a[2] && !what)) return Status::NoCapability;
            thread_slots[thread->object][static_cast<unsigned>(a[1])] = what ? what->object : 0;
            return Status::Ok;
        }
        case ThreadStart: {
            const Node* thread = find(CapAddr{a[0]});
            if (!thread) return Status::NoCapability;
            started.emplace_back(thread->object, c);
            return Status::Ok;
        }
        case SchedConfigure: {
            const Node* context = find(CapAddr{a[1]});
            if (!find(CapAddr{a[0]}) || !context) return Status::NoCapability;
            configured[context->object] = c;
            return Status::Ok;
        }
        case TagSet: {
            const Node* what = find(CapAddr{a[1]});
            if (!find(CapAddr{a[0]}) || !what) return Status::NoCapability;
            tags[what->object] = a[2];
            return Status::Ok;
        }
        case IrqClaim: {
            Status status;
            Node* node = empty_slot(CapAddr{a[3]}, status);
            if (node) node->type = ObjectType::IrqHandler, node->object = next_object_++;
            return status;
        }
        case LogWrite:
            log.append(reinterpret_cast<const char*>(cap::ipc_buffer().data), a[1]);
            return Status::Ok;
        default: return talk ? talk(number, c) : Status::NoSuchCall;
    }
}

Status ObjectKernel::retype(const cap::RawCall& c) {
    Node* from = find(CapAddr{c.a[0]});
    const auto type = static_cast<ObjectType>(c.a[1]);
    if (!from) return Status::NoCapability;
    if (from->type != ObjectType::Untyped) return Status::WrongType;
    for (uint64_t i = 0; i < c.a[4]; i++) {
        const uint64_t bytes = bytes_of(type, c.a[2]), align = is_memory(type) ? bytes : 64;
        const uint64_t at = (from->physical + from->watermark + align - 1) & ~(align - 1);
        if (at + bytes > from->physical + (uint64_t{1} << from->bits)) return Status::OutOfMemory;
        Status status;
        Node* made = empty_slot(CapAddr{c.a[3] + i}, status);
        if (!made) return status;
        from->watermark = at + bytes - from->physical;
        made->type = type;
        made->object = next_object_++;
        made->bits = type == ObjectType::PageTable ? 0 : c.a[2];
        made->level = type == ObjectType::PageTable ? static_cast<unsigned>(c.a[2] >> 8) : 0;
        made->physical = at;
        made->parent = from;
        made->device = from->device;
        if (type == ObjectType::Frame && !from->device) std::memset(memory(at), 0, bytes);
    }
    return Status::Ok;
}

Status ObjectKernel::copy(CapAddr to, CapAddr from, uint8_t rights, uint64_t badge, bool mint) {
    Node* source = find(from);
    if (!source) return Status::NoCapability;
    if (!(source->rights & abi::rights::kDerive) || source->type == ObjectType::Untyped)
        return Status::NoRights;
    Status status;
    Node* made = empty_slot(to, status);
    if (!made) return status;
    const auto place = made->place;
    *made = *source;
    made->place = place;
    made->parent = source;
    made->rights = static_cast<uint8_t>(source->rights & rights);
    made->root = made->address = 0;
    if (mint) made->badge = badge;
    return Status::Ok;
}

Status ObjectKernel::frame_mint(const cap::RawCall& c) {
    const Node* source = find(CapAddr{c.a[1]});
    if (!source) return Status::NoCapability;
    const uint64_t bytes = uint64_t{1} << c.a[4];
    if (source->type != ObjectType::Frame || c.a[3] % bytes || c.a[3] + bytes > uint64_t{1} << source->bits)
        return Status::BadArgument;
    if (const Status status = copy(CapAddr{c.a[0]}, CapAddr{c.a[1]}, static_cast<uint8_t>(c.a[2]), 0, false);
        status != Status::Ok)
        return status;
    Node& made = *find(CapAddr{c.a[0]});
    made.object = next_object_++;
    made.physical += c.a[3];
    made.bits = c.a[4];
    return Status::Ok;
}

Status ObjectKernel::move(CapAddr to, CapAddr from) {
    Node* source = find(from);
    Place place;
    if (!source || !place_of(to, place)) return Status::NoCapability;
    if (nodes_.contains(place)) return Status::SlotOccupied;
    auto node = nodes_.extract(
        source->place);  // the node itself stays where it is in memory: children and mappings point to it
    node.key() = place;
    source->place = place;
    nodes_.insert(std::move(node));
    return Status::Ok;
}

Status ObjectKernel::frame_map(cap::RawCall& c) {
    const Node* root = find(CapAddr{c.a[0]});
    if (!root || root->type != ObjectType::PageTable || root->level != 4) return Status::NoCapability;
    for (uint64_t i = 0; i < c.a[4]; i++) {
        Node* frame = find(CapAddr{c.a[1] + i});
        if (!frame || frame->type != ObjectType::Frame) return Status::NoCapability;
        const uint64_t bytes = uint64_t{1} << frame->bits, address = c.a[2] + i * bytes, flags = c.a[3];
        if (address % bytes || ((flags & abi::map::kWrite) && (flags & abi::map::kExecute)))
            return Status::BadArgument;
        if (flags & 7 & ~uint64_t{frame->rights}) return Status::NoRights;
        if (frame->root != 0) return Status::AlreadyMapped;
        for (unsigned level = 3; level >= (frame->bits >= abi::kLargePageBits ? 2u : 1u); level--)
            if (!tables_.contains({root->object, level, address >> (12 + 9 * level)}))
                return c.a[2] = level, Status::NoPageTable;
        for (uint64_t at = 0; at < bytes; at += kPage)
            if (pages_.contains({root->object, address + at})) return Status::AlreadyMapped;
        for (uint64_t at = 0; at < bytes; at += kPage) pages_[{root->object, address + at}] = {frame, flags};
        frame->root = root->object;
        frame->address = address;
        if (root->object == own_root()) {
            const int protection = PROT_READ | ((flags & abi::map::kWrite) ? PROT_WRITE : 0);
            if (mmap(reinterpret_cast<void*>(address), bytes, protection, MAP_SHARED | MAP_FIXED, file_,
                     static_cast<off_t>(frame->physical)) == MAP_FAILED)
                std::abort();
        }
    }
    c.a[2] = c.a[4];
    return Status::Ok;
}

Status ObjectKernel::table_map(const cap::RawCall& c) {
    const Node* root = find(CapAddr{c.a[0]});
    Node* table = find(CapAddr{c.a[1]});
    if (!root || !table) return Status::NoCapability;
    const uint64_t index = c.a[2] >> (12 + 9 * table->level);
    if (!tables_.emplace(std::tuple{root->object, table->level, index}, table).second)
        return Status::AlreadyMapped;
    table->root = root->object;
    table->address = c.a[2];
    return Status::Ok;
}

void ObjectKernel::unmap(Node& node) {
    if (node.root == 0) return;
    if (node.type == ObjectType::PageTable) {
        tables_.erase({node.root, node.level, node.address >> (12 + 9 * node.level)});
    } else {
        const uint64_t bytes = uint64_t{1} << node.bits;
        for (uint64_t at = 0; at < bytes; at += kPage) pages_.erase({node.root, node.address + at});
        if (node.root == own_root())
            mmap(reinterpret_cast<void*>(node.address), bytes, PROT_NONE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
    }
    node.root = node.address = 0;
}

// Children go to its parent; a CNode's slots die with its last capability.
void ObjectKernel::erase_node(Node& node) {
    unmap(node);
    Node* const parent = node.parent;
    bool last_child = true, last_capability = true;
    for (const auto& [place, other] : nodes_) {
        if (other.get() == &node) continue;
        if (other->parent == &node) other->parent = parent;
        if (parent && other->parent == parent) last_child = false;
        if (other->object == node.object) last_capability = false;
    }
    if (parent && last_child && parent->type == ObjectType::Untyped) parent->watermark = 0;
    const auto kept = nodes_.extract(Place{node.place});
    if (node.type != ObjectType::CNode || !last_capability) return;
    for (;;) {
        const auto inside = nodes_.lower_bound({node.object, 0});
        if (inside == nodes_.end() || inside->first.first != node.object) return;
        erase_node(*inside->second);
    }
}

Status ObjectKernel::erase(CapAddr at) {
    Node* node = find(at);
    if (!node) return Status::NoCapability;
    erase_node(*node);
    return Status::Ok;
}

bool ObjectKernel::derived_from(const Node& node, const Node& ancestor) const {
    for (const Node* up = node.parent; up; up = up->parent)
        if (up == &ancestor) return true;
    return false;
}

Status ObjectKernel::revoke(CapAddr at) {
    Node* node = find(at);
    if (!node) return Status::NoCapability;
    for (bool again = true; again;) {
        again = false;
        for (const auto& [place, other] : nodes_)
            if (derived_from(*other, *node)) {
                erase_node(*other);
                again = true;
                break;
            }
    }
    if (node->type == ObjectType::Untyped) node->watermark = 0;
    return Status::Ok;
}

}  // namespace fake
