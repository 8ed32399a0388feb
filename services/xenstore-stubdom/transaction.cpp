// SPDX-License-Identifier: Apache-2.0
#include "services/xenstore-stubdom/transaction.hpp"

namespace bulkhead::xenstore {

OverlayNode& Transaction::child(OverlayNode& parent, std::string_view name) {
    if (OverlayNode* found = parent.children.find(name)) return *found;
    OverlayNode& made = nodes_.emplace_back();
    made.parent = &parent;
    made.name.assign(name);
    made.hidden = parent.hidden || parent.hides;
    parent.children.insert(&made);
    bytes += sizeof(OverlayNode) + name.size();
    return made;
}

void Transaction::depend_content(OverlayNode& at, const Node* node) {
    if (at.depends_content || at.hidden) return;
    at.depends_content = true;
    at.content = node != nullptr ? node->generation : 0;
}

void Transaction::depend_children(OverlayNode& at, const Node* node) {
    if (at.depends_children || at.hidden || at.hides) return;
    at.depends_children = true;
    at.names = node != nullptr ? node->children_generation : 0;
}

void Transaction::depend_subtree(OverlayNode& at, const Node* node) {
    if (at.depends_subtree || at.hidden) return;
    at.depends_subtree = true;
    at.subtree = node != nullptr ? node->subtree_generation : 0;
}

bool Transaction::still_valid(const Tree& tree) const {
    if (tree.root().subtree_generation == started_) return true;
    std::string path;
    for (const OverlayNode& at : nodes_) {
        if (!at.depends_content && !at.depends_children && !at.depends_subtree) continue;
        path_of(at, path);
        const Node* node = tree.find(path);
        if (at.depends_content && at.content != (node != nullptr ? node->generation : 0)) return false;
        if (at.depends_children && at.names != (node != nullptr ? node->children_generation : 0))
            return false;
        if (at.depends_subtree && at.subtree != (node != nullptr ? node->subtree_generation : 0))
            return false;
    }
    return true;
}

void Transaction::path_of(const OverlayNode& at, std::string& out) {
    if (at.parent == nullptr) {
        out.assign("/");
        return;
    }
    std::size_t length = 0;
    for (const OverlayNode* node = &at; node->parent != nullptr; node = node->parent)
        length += 1 + node->name.size();
    out.resize(length);
    for (const OverlayNode* node = &at; node->parent != nullptr; node = node->parent) {
        length -= node->name.size();
        node->name.copy(&out[length], node->name.size());
        out[--length] = '/';
    }
}

}  // namespace bulkhead::xenstore
