// SPDX-License-Identifier: Apache-2.0
// Permissions of a node: a list whose first entry names the owner and the default for everybody else.
// Lists are immutable and shared: a node that inherits its parent's list costs one pointer.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "services/xenstore-stubdom/types.hpp"

namespace bulkhead::xenstore {

enum class Access : std::uint8_t { none = 0, read = 1, write = 2, both = 3, owner = 7 };
constexpr bool allows(Access held, Access needed) {
    const auto need = static_cast<unsigned>(needed);
    return (static_cast<unsigned>(held) & need) == need;
}

struct PermEntry {
    DomId domid{};
    Access access = Access::none;
    bool operator==(const PermEntry&) const = default;
};
using PermList = std::vector<PermEntry>;

// A reference to an immutable, never empty list. The count is not atomic: the service has one thread.
// A default-constructed one refers to nothing and can only be assigned to.
class Perms {
  public:
    Perms() = default;
    explicit Perms(PermList list) : shared_(new Shared{1, std::move(list)}) {}
    Perms(const Perms& other) : shared_(other.shared_) {
        if (shared_ != nullptr) ++shared_->references;
    }
    Perms& operator=(Perms other) {
        std::swap(shared_, other.shared_);
        return *this;
    }
    ~Perms() {
        if (shared_ != nullptr && --shared_->references == 0) delete shared_;
    }

    const PermList& list() const { return shared_->list; }
    DomId owner() const { return shared_->list.front().domid; }
    Perms owned_by(DomId domid) const;
    bool operator==(const Perms& other) const { return list() == other.list(); }

  private:
    struct Shared {
        std::size_t references;
        PermList list;
    };
    Shared* shared_ = nullptr;
};

// Whose access is asked for. A domain with a target (a device model) has the target's rights as well.
struct Subject {
    DomId domid{};
    bool all_nodes = false;
    bool has_target = false;
    DomId target{};
};
Access access_of(const Subject& subject, const Perms& perms);

bool parse_perm(std::string_view text, PermEntry& entry);
void append_perm(const PermEntry& entry, std::string& out);
bool parse_domid(std::string_view text, DomId& domid);

}  // namespace bulkhead::xenstore
