// SPDX-License-Identifier: Apache-2.0
// The committed tree. Knows nothing of sessions, quotas or watches.
//
// Generations come from one counter that only grows, so that equal means unchanged:
//   generation           value, permissions, and the node's very identity
//   children_generation  the set of names below it
//   subtree_generation   anything at or below it
// Depth reaches 1500, so nothing here recurses.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "services/xenstore-stubdom/children.hpp"
#include "services/xenstore-stubdom/perms.hpp"

namespace bulkhead::xenstore {

struct Node {
    Node* parent = nullptr;
    std::string name;
    std::string value;
    Perms perms;
    Children<Node> children;
    std::uint64_t generation = 0;
    std::uint64_t children_generation = 0;
    std::uint64_t subtree_generation = 0;
    std::uint32_t path_length = 0;  // of the canonical path; 0 for the root
};

class Tree {
  public:
    // Names below `specials` are paths of their own ("@releaseDomain"); all others start with '/'.
    enum class Kind { ordinary, specials };

    Tree(Kind kind, Perms root_perms);
    ~Tree();
    Tree(const Tree&) = delete;
    Tree& operator=(const Tree&) = delete;

    Node& root() { return *root_; }
    const Node& root() const { return *root_; }
    Node* find(std::string_view canonical) const;
    Node& create(Node& parent, std::string_view name, const Perms& perms, std::uint64_t generation);
    void remove(Node& node, std::uint64_t generation);
    // Marks the value or the permissions of `node` as changed.
    static void touch(Node& node, std::uint64_t generation);
    void path_of(const Node& node, std::string& out) const;

    // Visits `top` and everything below it, parents first, children in order of name. `visit` must not change
    // the tree.
    template <typename Visit>
    static void for_each(Node& top, Visit&& visit) {
        std::vector<Node*> stack{&top};
        while (!stack.empty()) {
            Node* node = stack.back();
            stack.pop_back();
            visit(*node);
            for (std::size_t i = node->children.size(); i-- > 0;)
                stack.push_back(node->children.begin()[static_cast<std::ptrdiff_t>(i)]);
        }
    }

  private:
    static void destroy(Node& top);

    Kind kind_;
    Node* root_;
};

}  // namespace bulkhead::xenstore
