// SPDX-License-Identifier: Apache-2.0
// A kernel for host tests of whole services: CNodes of depth two, Untypeds over real memory (one memfd), a
// derivation tree, and frames that are truly mapped when they are mapped into the test's own address space.
// Counts everything, refuses when asked to, and leaves IPC to the test. Simple where the real kernel is
// quick; it checks what the callers rely on, no more.
#pragma once

#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "lib/cap/start.hpp"

namespace fake {

using namespace bulkhead;
using abi::CapAddr;
using abi::ObjectType;
using abi::Status;

class ObjectKernel : public cap::FakeKernel {
  public:
    // Slots of the root CNode that hold what every domain has; physical memory begins with one Untyped of
    // 2^bits bytes at `untyped`.
    explicit ObjectKernel(unsigned memory_bits = 28);
    ~ObjectKernel() override;

    static constexpr uint64_t kWindow = 0x5000'0000'0000,
                              kWindowBytes = uint64_t{1} << 36;  // where the test may map frames

    struct Node {
        ObjectType type = ObjectType::Null;
        uint64_t object = 0;  // equal: the same object
        uint64_t bits = 0, physical = 0, watermark = 0;
        uint8_t rights = abi::rights::kAll;
        uint64_t badge = 0;
        uint64_t root = 0, address = 0;  // Frame, PageTable: mapped there; root 0: not mapped
        unsigned level = 0;              // PageTable
        uint32_t first_port = 0, ports = 0;
        bool device = false;  // of an Untyped: memory is not zeroed
        Node* parent = nullptr;
        std::pair<uint64_t, uint32_t> place{};  // container, slot
    };

    // Puts a first capability into a slot of the root CNode.
    Node& give(uint32_t slot, ObjectType type, uint64_t bits = 0, uint64_t physical = 0);
    Node* find(CapAddr address);
    size_t count(ObjectType type) const;
    size_t nodes() const { return nodes_.size(); }
    std::byte* memory(uint64_t physical) const { return memory_ + physical; }
    // The page of another address space: where its memory is; nullptr: nothing is mapped there. `flags` gets
    // abi::map bits.
    std::byte* mapped(uint64_t root_object, uint64_t address, uint64_t* flags = nullptr);

    uint64_t calls = 0;      // made so far
    uint64_t refuse_at = 0;  // the call with this number answers `refusal`; 0: none
    Status refusal = Status::OutOfMemory;
    std::string log;                                         // what LogWrite wrote
    std::map<uint64_t, uint64_t> tags;                       // object -> tag
    std::vector<std::pair<uint64_t, cap::RawCall>> started;  // Thread objects and their ThreadStart, in order
    std::map<uint64_t, std::map<unsigned, uint64_t>> thread_slots;  // Thread object -> ThreadSlot -> object
    std::map<uint64_t, cap::RawCall> configured;  // SchedContext object -> its last SchedConfigure

    // Calls that wait or talk: IpcCall, IpcRecv, IpcReply, IpcReplyRecv, Signal, Wait, port I/O. Default:
    // NoSuchCall.
    std::function<Status(abi::Call, cap::RawCall&)> talk;

    void call(abi::Call number, cap::RawCall& c) override;

    Status copy(CapAddr to, CapAddr from, uint8_t rights, uint64_t badge, bool mint);
    Status move(CapAddr to, CapAddr from);
    Status erase(CapAddr at);
    Status revoke(CapAddr at);

  private:
    using Place = std::pair<uint64_t, uint32_t>;

    Status dispatch(abi::Call number, cap::RawCall& c);
    bool place_of(CapAddr address, Place& out);
    Node* empty_slot(CapAddr address, Status& status);
    Status retype(const cap::RawCall& c);
    Status frame_mint(const cap::RawCall& c);
    Status frame_map(cap::RawCall& c);
    Status table_map(const cap::RawCall& c);
    void unmap(Node& node);
    void erase_node(Node& node);
    bool derived_from(const Node& node, const Node& ancestor) const;
    uint64_t own_root() const;

    cap::FakeKernel* previous_;
    std::byte* memory_ = nullptr;
    uint64_t memory_bytes_ = 0;
    int file_ = -1;
    uint64_t next_object_ = 1;
    std::map<Place, std::unique_ptr<Node>> nodes_;
    std::map<std::tuple<uint64_t, unsigned, uint64_t>, Node*> tables_;  // root, level, index
    std::map<std::pair<uint64_t, uint64_t>, std::pair<Node*, uint64_t>>
        pages_;  // root, page address -> frame, flags
};

}  // namespace fake
