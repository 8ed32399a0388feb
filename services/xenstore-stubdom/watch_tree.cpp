// SPDX-License-Identifier: Apache-2.0
#include "services/xenstore-stubdom/watch_tree.hpp"

#include <algorithm>

namespace bulkhead::xenstore {

WatchTree::~WatchTree() {
    std::vector<WatchNode*> doomed(root_.children.begin(), root_.children.end());
    while (!doomed.empty()) {
        WatchNode* node = doomed.back();
        doomed.pop_back();
        doomed.insert(doomed.end(), node->children.begin(), node->children.end());
        delete node;
    }
}

WatchNode* WatchTree::find(std::string_view canonical) {
    WatchNode* node = &root_;
    Components components(canonical);
    std::string_view name;
    while (node != nullptr && components.next(name)) node = node->children.find(name);
    return node;
}

void WatchTree::add(Watch& watch, std::string_view canonical) {
    WatchNode* node = &root_;
    Components components(canonical);
    std::string_view name;
    while (components.next(name)) {
        WatchNode* child = node->children.find(name);
        if (child == nullptr) {
            child = new WatchNode;
            child->parent = node;
            child->name.assign(name);
            node->children.insert(child);
        }
        node = child;
    }
    node->watches.push_back(&watch);
    watch.at = node;
}

void WatchTree::remove(Watch& watch) {
    WatchNode* node = watch.at;
    std::erase(node->watches, &watch);
    while (node->parent != nullptr && node->watches.empty() && node->children.empty()) {
        WatchNode* parent = node->parent;
        parent->children.erase(node);
        delete node;
        node = parent;
    }
}

}  // namespace bulkhead::xenstore
