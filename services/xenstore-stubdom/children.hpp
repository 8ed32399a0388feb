// SPDX-License-Identifier: Apache-2.0
// The children of a tree node, sorted by name: lookup by binary search, a stable order for DIRECTORY.
// Does not own what it points to; T has a `name`.
#pragma once

#include <algorithm>
#include <string_view>
#include <vector>

namespace bulkhead::xenstore {

template <typename T>
class Children {
  public:
    T* find(std::string_view name) const {
        const auto it = position(name);
        return it != items_.end() && (*it)->name == name ? *it : nullptr;
    }
    void insert(T* child) { items_.insert(position(child->name), child); }
    void erase(const T* child) {
        const auto it = position(child->name);
        if (it != items_.end() && *it == child) items_.erase(it);
    }
    void clear() { items_.clear(); }
    bool empty() const { return items_.empty(); }
    std::size_t size() const { return items_.size(); }
    auto begin() const { return items_.begin(); }
    auto end() const { return items_.end(); }

  private:
    typename std::vector<T*>::const_iterator position(std::string_view name) const {
        return std::lower_bound(items_.begin(), items_.end(), name,
                                [](const T* item, std::string_view wanted) { return item->name < wanted; });
    }
    std::vector<T*> items_;
};

}  // namespace bulkhead::xenstore
