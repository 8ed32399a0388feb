// SPDX-License-Identifier: Apache-2.0
// The xenstore by its channel. A request that the service's death left without an answer is sent again to the
// next instance; watches stay there, open transactions end with Again.
#pragma once

#include <deque>
#include <map>

#include "toolstack/dom0/loop.hpp"
#include "toolstack/xl/xenstore.hpp"

namespace bulkhead::dom0 {

class RingXenstore final : public xl::Xenstore {
  public:
    // `idle` is what waiting for events does meanwhile: it turns the loop, and more.
    RingXenstore(Loop& loop, cap::CapAddr endpoint, std::function<void(std::uint64_t)> idle);
    void start() { link_.start(); }
    bool up() const { return link_.up(); }

    xl::Result<std::string> read(xl::TransactionId, std::string_view path) override;
    xl::Result<void> write(xl::TransactionId, std::string_view path, std::string_view value) override;
    xl::Result<void> remove(xl::TransactionId, std::string_view path) override;
    xl::Result<std::vector<std::string>> directory(xl::TransactionId, std::string_view path) override;
    xl::Result<std::vector<xl::NodePermission>> permissions(xl::TransactionId,
                                                            std::string_view path) override;
    xl::Result<void> set_permissions(xl::TransactionId, std::string_view path,
                                     const std::vector<xl::NodePermission>& list) override;
    xl::Result<xl::TransactionId> start_transaction() override;
    xl::Result<void> end_transaction(xl::TransactionId, bool commit) override;
    xl::Result<void> watch(std::string_view path) override;
    xl::Result<void> unwatch(std::string_view path) override;
    xl::Result<std::optional<std::string>> next_event(std::int64_t timeout_ms) override;

    // What only the tool stack may say.
    xl::Result<void> introduce(std::uint32_t domain, std::uint64_t gfn, std::uint32_t port);
    xl::Result<void> release(std::uint32_t domain);
    void domain_stopped(std::uint32_t domain);

  private:
    struct Pending {
        std::uint32_t op = 0, transaction = 0;
        std::string payload;
        bool done = false;
        std::uint32_t answer_op = 0;
        std::string answer;
    };
    static constexpr std::size_t kMaxEvents = 1024;

    xl::Result<std::string> call(std::uint32_t op, xl::TransactionId transaction, std::string payload);
    xl::Result<std::vector<std::string>> long_directory(xl::TransactionId transaction, std::string_view path);
    bool send(std::uint32_t id, const Pending& pending, bool replayed);
    void say_hello();
    void on_message(std::span<const std::uint64_t> words);

    Loop& loop_;
    std::function<void(std::uint64_t)> idle_;
    std::map<std::uint32_t, Pending> pending_;
    std::deque<std::string> events_;
    std::uint32_t next_id_ = 1;
    bool resumed_ = false;
    Link link_;
};

}  // namespace bulkhead::dom0
