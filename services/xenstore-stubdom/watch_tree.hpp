// SPDX-License-Identifier: Apache-2.0
// Where the watches are: a tree by path component, so that firing costs the depth of the path and the watches
// that match, not the number of watches there are.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "services/xenstore-stubdom/children.hpp"
#include "services/xenstore-stubdom/path.hpp"
#include "services/xenstore-stubdom/session.hpp"

namespace bulkhead::xenstore {

struct WatchNode {
    WatchNode* parent = nullptr;
    std::string name;
    Children<WatchNode> children;
    std::vector<Watch*> watches;
};

class WatchTree {
  public:
    WatchTree() = default;
    ~WatchTree();
    WatchTree(const WatchTree&) = delete;
    WatchTree& operator=(const WatchTree&) = delete;

    WatchNode& root() { return root_; }
    WatchNode* find(std::string_view canonical);
    void add(Watch& watch, std::string_view canonical);
    void remove(Watch& watch);

    // Calls visit(watch, levels between the watch and the path) for each watch at or above `canonical`;
    // returns the node at exactly `canonical`, or null.
    template <typename Visit>
    WatchNode* for_each_above(std::string_view canonical, Visit&& visit) {
        std::string_view name;
        int depth = 0;
        for (Components count(canonical); count.next(name);) ++depth;
        WatchNode* node = &root_;
        Components components(canonical);
        while (true) {
            for (Watch* watch : node->watches) visit(*watch, depth);
            if (!components.next(name)) return node;
            node = node->children.find(name);
            if (node == nullptr) return nullptr;
            --depth;
        }
    }

  private:
    WatchNode root_;
};

}  // namespace bulkhead::xenstore
