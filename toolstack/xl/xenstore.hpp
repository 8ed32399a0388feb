// SPDX-License-Identifier: Apache-2.0
// The xenstore as the tool stack uses it: the primitives of the protocol, one method each. Paths are
// absolute.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "toolstack/xl/error.hpp"

namespace bulkhead::xl {

enum class NodeAccess : char { None = 'n', Read = 'r', Write = 'w', Both = 'b' };

// The first entry of a node's list names its owner and what everyone not listed may do.
struct NodePermission {
    NodeAccess access = NodeAccess::None;
    std::uint32_t domain = 0;
    bool operator==(const NodePermission&) const = default;
};

using TransactionId = std::uint32_t;
inline constexpr TransactionId kNoTransaction = 0;

class Xenstore {
  public:
    virtual ~Xenstore() = default;

    virtual Result<std::string> read(TransactionId transaction, std::string_view path) = 0;
    virtual Result<void> write(TransactionId transaction, std::string_view path,
                               std::string_view value) = 0;  // makes missing parents
    virtual Result<void> remove(TransactionId transaction, std::string_view path) = 0;
    virtual Result<std::vector<std::string>> directory(TransactionId transaction,
                                                       std::string_view path) = 0;  // names, not paths
    virtual Result<std::vector<NodePermission>> permissions(TransactionId transaction,
                                                            std::string_view path) = 0;
    virtual Result<void> set_permissions(TransactionId transaction, std::string_view path,
                                         const std::vector<NodePermission>& list) = 0;

    virtual Result<TransactionId> start_transaction() = 0;
    // ErrorKind::Again when another change came between; the transaction is gone in any case.
    virtual Result<void> end_transaction(TransactionId transaction, bool commit) = 0;

    // As the protocol has it, a new watch fires once at once. The watch survives a restart of xenstore.
    virtual Result<void> watch(std::string_view path) = 0;
    virtual Result<void> unwatch(std::string_view path) = 0;
    // The path that changed, for any watch of this client; nullopt after the timeout.
    virtual Result<std::optional<std::string>> next_event(std::int64_t timeout_ms) = 0;
};

}  // namespace bulkhead::xl
