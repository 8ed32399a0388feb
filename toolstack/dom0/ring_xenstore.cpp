// SPDX-License-Identifier: Apache-2.0
#include "toolstack/dom0/ring_xenstore.hpp"

#include <charconv>

#include "toolstack/xl/text.hpp"

#include "schema/xenstore.capnp.h"

namespace bulkhead::dom0 {
namespace {

using schema::xenstore::FromClient;
using schema::xenstore::ToClient;
using xl::ErrorKind;

constexpr std::int64_t kAnswerMs =
    20'000;  // for a service that dies and comes back, with an emulator's patience

// xen/io/xs_wire.h
enum Op : std::uint32_t {
    kDirectory = 1,
    kRead = 2,
    kGetPerms = 3,
    kWatch = 4,
    kUnwatch = 5,
    kTransactionStart = 6,
    kTransactionEnd = 7,
    kIntroduce = 8,
    kRelease = 9,
    kWrite = 11,
    kMkdir = 12,
    kRm = 13,
    kSetPerms = 14,
    kError = 16,
    kDirectoryPart = 22,
};

const struct {
    std::string_view name;
    ErrorKind kind;
    const char* sentence;
} kErrors[] = {
    {"EINVAL", ErrorKind::Invalid, "Invalid argument"},
    {"EACCES", ErrorKind::Denied, "Permission denied"},
    {"EPERM", ErrorKind::Denied, "Operation not permitted"},
    {"EEXIST", ErrorKind::Exists, "File exists"},
    {"ENOENT", ErrorKind::NotFound, "No such file or directory"},
    {"ENOSPC", ErrorKind::NoSpace, "No space left on device"},
    {"ENOMEM", ErrorKind::NoSpace, "Cannot allocate memory"},
    {"EAGAIN", ErrorKind::Again, "Resource temporarily unavailable"},
    {"E2BIG", ErrorKind::Unsupported, "Argument list too long"},
    {"EBUSY", ErrorKind::Other, "Device or resource busy"},
    {"ENOSYS", ErrorKind::Unsupported, "Function not implemented"},
    {"EROFS", ErrorKind::Denied, "Read-only file system"},
};

xl::Error error_of(std::string_view name) {
    while (!name.empty() && name.back() == '\0') name.remove_suffix(1);
    for (const auto& known : kErrors)
        if (known.name == name) return {known.kind, known.sentence};
    return {ErrorKind::Other, "xenstore answered " + xl::printable(name)};
}

std::string zero_ended(std::string_view text) {
    return std::string{text} + '\0';
}

std::vector<std::string> strings(std::string_view payload) {
    std::vector<std::string> out;
    while (!payload.empty()) {
        const auto end = std::min(payload.find('\0'), payload.size());
        out.emplace_back(payload.substr(0, end));
        payload.remove_prefix(std::min(end + 1, payload.size()));
    }
    return out;
}

std::uint32_t number(std::string_view text) {
    std::uint32_t value = 0;
    (void)std::from_chars(text.data(), text.data() + text.size(), value);
    return value;
}

std::string bytes_of(capnp::Data::Reader data) {
    return {reinterpret_cast<const char*>(data.begin()), data.size()};
}
capnp::Data::Reader data_of(std::string_view text) {
    return {reinterpret_cast<const kj::byte*>(text.data()), text.size()};
}

xl::Result<void> nothing(const xl::Result<std::string>& answer) {
    if (!answer) return std::unexpected(answer.error());
    return {};
}

}  // namespace

RingXenstore::RingXenstore(Loop& loop, cap::CapAddr endpoint, std::function<void(std::uint64_t)> idle)
    : loop_{loop},
      idle_{std::move(idle)},
      link_{loop, endpoint, {[this](auto words) { on_message(words); }, [this] { say_hello(); }, {}}, true} {}

void RingXenstore::say_hello() {
    const bool resumed = std::exchange(resumed_, true);
    (void)link_.send<FromClient>(16, abi::kDeadlinePoll,
                                 [&](FromClient::Builder m) { m.initHello().setResumed(resumed); });
    for (auto& [id, pending] : pending_)
        if (!pending.done) (void)send(id, pending, true);
}

bool RingXenstore::send(std::uint32_t id, const Pending& pending, bool replayed) {
    return link_.send<FromClient>(32 + pending.payload.size() / 8, loop_.deadline_ms(kAnswerMs),
                                  [&](FromClient::Builder m) {
                                      auto request = m.initRequest();
                                      request.setId(id);
                                      request.setOp(pending.op);
                                      request.setTx(pending.transaction);
                                      request.setReplayed(replayed);
                                      request.setPayload(data_of(pending.payload));
                                  });
}

void RingXenstore::on_message(std::span<const std::uint64_t> words) {
    (void)ring::parse<ToClient>(link_.channel(), words, [&](ToClient::Reader m) {
        if (m.isEvent()) {
            if (events_.size() < kMaxEvents) events_.push_back(bytes_of(m.getEvent().getPath()));
            return true;
        }
        const auto reply = m.getReply();
        const auto it = pending_.find(reply.getId());
        if (it == pending_.end()) return true;
        it->second.answer_op = reply.getOp();
        it->second.answer = bytes_of(reply.getPayload());
        it->second.done = true;
        return true;
    });
}

xl::Result<std::string> RingXenstore::call(std::uint32_t op, xl::TransactionId transaction,
                                           std::string payload) {
    if (payload.size() > schema::xenstore::MAX_PAYLOAD) return std::unexpected(error_of("E2BIG"));
    const std::uint64_t deadline = loop_.deadline_ms(kAnswerMs);
    if (!loop_.until(deadline, [&] { return link_.up(); }))
        return xl::fail(ErrorKind::Gone, "xenstore cannot be reached: " + link_.why());
    const std::uint32_t id = next_id_++;
    Pending& pending = pending_[id];
    pending.op = op;
    pending.transaction = transaction;
    pending.payload = std::move(payload);
    // When sending fails because the service went away, its return sends again.
    (void)send(id, pending, false);
    const bool answered = loop_.until(deadline, [&] { return pending.done; });
    auto node = pending_.extract(id);
    if (!answered) return xl::fail(ErrorKind::Gone, "xenstore does not answer");
    if (node.mapped().answer_op == kError) return std::unexpected(error_of(node.mapped().answer));
    return std::move(node.mapped().answer);
}

xl::Result<std::string> RingXenstore::read(xl::TransactionId t, std::string_view path) {
    return call(kRead, t, zero_ended(path));
}
xl::Result<void> RingXenstore::write(xl::TransactionId t, std::string_view path, std::string_view value) {
    return nothing(call(kWrite, t, zero_ended(path) + std::string{value}));
}
xl::Result<void> RingXenstore::remove(xl::TransactionId t, std::string_view path) {
    return nothing(call(kRm, t, zero_ended(path)));
}

xl::Result<std::vector<std::string>> RingXenstore::directory(xl::TransactionId t, std::string_view path) {
    auto answer = call(kDirectory, t, zero_ended(path));
    if (answer) return strings(*answer);
    if (answer.error().kind == ErrorKind::Unsupported) return long_directory(t, path);
    return std::unexpected(answer.error());
}

// In parts "generation\0name\0name\0…"; an empty name ends the last one. A change of generation begins anew.
xl::Result<std::vector<std::string>> RingXenstore::long_directory(xl::TransactionId t,
                                                                  std::string_view path) {
    std::string names, generation;
    for (;;) {
        auto answer = call(kDirectoryPart, t, zero_ended(path) + zero_ended(std::to_string(names.size())));
        if (!answer) return std::unexpected(answer.error());
        const std::string now = answer->substr(0, answer->find('\0'));
        if (!names.empty() && now != generation) {
            names.clear();
            continue;
        }
        generation = now;
        const std::string part = answer->substr(std::min(answer->size(), now.size() + 1));
        const bool last =
            part.empty() || part == std::string(1, '\0') || part.ends_with(std::string(2, '\0'));
        names += part;
        if (!last) continue;
        auto all = strings(names);
        std::erase(all, "");
        return all;
    }
}

xl::Result<std::vector<xl::NodePermission>> RingXenstore::permissions(xl::TransactionId t,
                                                                      std::string_view path) {
    auto answer = call(kGetPerms, t, zero_ended(path));
    if (!answer) return std::unexpected(answer.error());
    std::vector<xl::NodePermission> list;
    for (const std::string& text : strings(*answer))
        if (!text.empty())
            list.push_back({static_cast<xl::NodeAccess>(text[0]), number(std::string_view{text}.substr(1))});
    return list;
}

xl::Result<void> RingXenstore::set_permissions(xl::TransactionId t, std::string_view path,
                                               const std::vector<xl::NodePermission>& list) {
    std::string payload = zero_ended(path);
    for (const auto& entry : list)
        payload += static_cast<char>(entry.access) + zero_ended(std::to_string(entry.domain));
    return nothing(call(kSetPerms, t, std::move(payload)));
}

xl::Result<xl::TransactionId> RingXenstore::start_transaction() {
    const auto answer = call(kTransactionStart, xl::kNoTransaction, zero_ended(""));
    if (!answer) return std::unexpected(answer.error());
    return number(*answer);
}
xl::Result<void> RingXenstore::end_transaction(xl::TransactionId t, bool commit) {
    return nothing(call(kTransactionEnd, t, zero_ended(commit ? "T" : "F")));
}

xl::Result<void> RingXenstore::watch(std::string_view path) {
    return nothing(call(kWatch, xl::kNoTransaction, zero_ended(path) + zero_ended(path)));
}
xl::Result<void> RingXenstore::unwatch(std::string_view path) {
    return nothing(call(kUnwatch, xl::kNoTransaction, zero_ended(path) + zero_ended(path)));
}

xl::Result<std::optional<std::string>> RingXenstore::next_event(std::int64_t timeout_ms) {
    const std::uint64_t deadline = loop_.deadline_ms(timeout_ms);
    while (events_.empty()) {
        if (cap::read_tsc() >= deadline) return std::optional<std::string>{};
        idle_(deadline);
    }
    auto event = std::move(events_.front());
    events_.pop_front();
    return std::optional{std::move(event)};
}

xl::Result<void> RingXenstore::introduce(std::uint32_t domain, std::uint64_t gfn, std::uint32_t port) {
    return nothing(call(kIntroduce, xl::kNoTransaction,
                        zero_ended(std::to_string(domain)) + zero_ended(std::to_string(gfn)) +
                            zero_ended(std::to_string(port))));
}
xl::Result<void> RingXenstore::release(std::uint32_t domain) {
    return nothing(call(kRelease, xl::kNoTransaction, zero_ended(std::to_string(domain))));
}

void RingXenstore::domain_stopped(std::uint32_t domain) {
    (void)link_.send<FromClient>(16, loop_.deadline_ms(1000), [&](FromClient::Builder m) {
        m.setDomainStopped(static_cast<std::uint16_t>(domain));
    });
}

}  // namespace bulkhead::dom0
