// SPDX-License-Identifier: Apache-2.0
// A transaction is an overlay over the committed tree plus what it depended on. Nothing is copied at its
// start; what it holds grows only by its own requests and is charged to its domain. At the end, each
// dependency is compared with the tree: same generation, or EAGAIN.
//
// Two transactions that create different children of one node do not conflict: only a listing depends on the
// names.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "services/xenstore-stubdom/tree.hpp"

namespace bulkhead::xenstore {

struct OverlayNode {
    enum class State : std::uint8_t { through, present, absent };

    OverlayNode* parent = nullptr;
    std::string name;
    Children<OverlayNode> children;
    State state = State::through;  // through: value and permissions are the committed node's
    bool hides = false;            // committed children are not seen (it was removed here)
    bool hidden = false;           // below a node that hides: the committed tree has no say
    bool touched = false;          // an event is due at commit
    bool depends_content = false, depends_children = false, depends_subtree = false;
    std::uint64_t content = 0, names = 0, subtree = 0;  // the generations depended on; 0: was absent
    std::uint64_t generation = 0;                       // what DIRECTORY_PART reports for an altered node
    std::string value;
    Perms perms;
};

class Transaction {
  public:
    // `started` is the generation of the whole committed tree at this moment.
    Transaction(TxId id, std::uint64_t started) : id_(id), started_(started) { nodes_.emplace_back(); }

    TxId id() const { return id_; }
    OverlayNode& root() { return nodes_.front(); }
    OverlayNode& child(OverlayNode& parent, std::string_view name);
    std::size_t size() const { return nodes_.size(); }
    std::deque<OverlayNode>& nodes() { return nodes_; }

    // `node` is the committed node at the overlay's place, or null.
    static void depend_content(OverlayNode& at, const Node* node);
    static void depend_children(OverlayNode& at, const Node* node);
    static void depend_subtree(OverlayNode& at, const Node* node);
    bool still_valid(const Tree& tree) const;

    void touch(OverlayNode& at) {
        if (at.touched) return;
        at.touched = true;
        touched_.push_back(&at);
    }
    // In the order in which they were first altered.
    const std::vector<OverlayNode*>& touched() const { return touched_; }
    static void path_of(const OverlayNode& at, std::string& out);

    // A transaction of an earlier instance of the service: it goes through the motions and ends with EAGAIN.
    bool doomed = false;
    std::size_t bytes = 0;    // charged to the domain
    std::size_t created = 0;  // nodes, for an early ENOSPC; the exact count is made at the end

  private:
    TxId id_;
    std::uint64_t started_;
    std::deque<OverlayNode> nodes_;  // all that were ever made: dependencies outlive a removal
    std::vector<OverlayNode*> touched_;
};

}  // namespace bulkhead::xenstore
