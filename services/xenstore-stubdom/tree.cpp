// SPDX-License-Identifier: Apache-2.0
#include "services/xenstore-stubdom/tree.hpp"

#include "services/xenstore-stubdom/path.hpp"

namespace bulkhead::xenstore {

Tree::Tree(Kind kind, Perms root_perms) : kind_(kind), root_(new Node) {
    root_->perms = std::move(root_perms);
}

Tree::~Tree() {
    destroy(*root_);
}

void Tree::destroy(Node& top) {
    std::vector<Node*> doomed;
    for_each(top, [&](Node& node) { doomed.push_back(&node); });
    for (Node* node : doomed) delete node;
}

Node* Tree::find(std::string_view canonical) const {
    Node* node = root_;
    Components components(canonical);
    std::string_view name;
    while (node != nullptr && components.next(name)) node = node->children.find(name);
    return node;
}

Node& Tree::create(Node& parent, std::string_view name, const Perms& perms, std::uint64_t generation) {
    auto* node = new Node;
    node->parent = &parent;
    node->name.assign(name);
    node->perms = perms;
    const std::size_t separator = kind_ == Kind::specials && &parent == root_ ? 0 : 1;
    node->path_length = static_cast<std::uint32_t>(parent.path_length + separator + name.size());
    node->children_generation = generation;
    parent.children.insert(node);
    parent.children_generation = generation;
    touch(*node, generation);
    return *node;
}

void Tree::touch(Node& node, std::uint64_t generation) {
    node.generation = generation;
    for (Node* at = &node; at != nullptr; at = at->parent) at->subtree_generation = generation;
}

void Tree::remove(Node& node, std::uint64_t generation) {
    Node& parent = *node.parent;
    parent.children.erase(&node);
    parent.children_generation = generation;
    for (Node* at = &parent; at != nullptr; at = at->parent) at->subtree_generation = generation;
    destroy(node);
}

void Tree::path_of(const Node& node, std::string& out) const {
    if (&node == root_) {
        out.assign("/");
        return;
    }
    out.resize(node.path_length);
    for (const Node* at = &node; at != root_; at = at->parent) {
        const std::size_t start = at->path_length - at->name.size();
        at->name.copy(&out[start], at->name.size());
        if (start > 0) out[start - 1] = '/';
    }
}

}  // namespace bulkhead::xenstore
