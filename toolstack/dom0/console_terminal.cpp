// SPDX-License-Identifier: Apache-2.0
#include "toolstack/dom0/console_terminal.hpp"

#include <algorithm>

#include "schema/console.capnp.h"

namespace bulkhead::dom0 {
namespace {

using schema::console::FromControl;
using schema::console::ToControl;

constexpr std::size_t kMaxInput = 16 * 1024, kMaxLine = 1024, kPiece = 1024, kMaxTyped = 4096;
constexpr std::int64_t kPatienceMs = 3000, kAnswerMs = 5000;

}  // namespace

ConsoleTerminal::ConsoleTerminal(Loop& loop, cap::CapAddr endpoint, std::function<void(std::uint64_t)> idle)
    : loop_{loop},
      idle_{std::move(idle)},
      link_{loop,
            endpoint,
            {[this](auto words) { on_message(words); }, [this] { on_up(); }, [this] { on_down(); }},
            true} {}

void ConsoleTerminal::on_up() {
    if (std::exchange(was_up_, true) && !line_.empty()) {
        const std::string line = "\r\n" + line_;
        (void)link_.send<FromControl>(16 + line.size() / 8, abi::kDeadlinePoll, [&](FromControl::Builder m) {
            m.setOutput({reinterpret_cast<const kj::byte*>(line.data()), line.size()});
        });
    }
}

void ConsoleTerminal::on_down() {
    if (std::exchange(attached_, false)) interrupted_ = true;
    for (auto& [request, answer] : answers_)
        if (!answer) answer = "the console service was restarted; try again";
}

void ConsoleTerminal::on_message(std::span<const std::uint64_t> words) {
    (void)ring::parse<ToControl>(link_.channel(), words, [&](ToControl::Reader m) {
        if (m.isInput()) {
            const auto bytes = m.getInput();
            const std::size_t count =
                std::min<std::size_t>(bytes.size(), kMaxInput - std::min(kMaxInput, input_.size()));
            input_.insert(input_.end(), bytes.begin(), bytes.begin() + count);
        } else if (m.isDetached()) {
            attached_ = false;
        } else if (m.isResult()) {
            const auto it = answers_.find(m.getResult().getRequest());
            const auto error = m.getResult().getError();
            if (it != answers_.end()) it->second = std::string{error.begin(), error.size()};
            const auto data = m.getResult().getData();
            history_.assign(reinterpret_cast<const char*>(data.begin()), data.size());
            history_next_ = m.getResult().getNext();
            history_end_ = m.getResult().getEnd();
        }
        return true;
    });
}

std::optional<std::size_t> ConsoleTerminal::read(std::span<char> into, std::int64_t timeout_ms) {
    const std::uint64_t deadline = loop_.deadline_ms(timeout_ms);
    if (input_.empty()) loop_.turn(abi::kDeadlinePoll);
    while (input_.empty()) {
        if (cap::read_tsc() >= deadline) return 0;
        idle_(deadline);
    }
    const std::size_t count = std::min(into.size(), input_.size());
    std::copy_n(input_.begin(), count, into.begin());
    input_.erase(input_.begin(), input_.begin() + static_cast<std::ptrdiff_t>(count));
    return count;
}

void ConsoleTerminal::write(std::string_view bytes) {
    const auto end = bytes.rfind('\n');
    if (end != std::string_view::npos) line_.clear();
    line_ += end == std::string_view::npos ? bytes : bytes.substr(end + 1);
    if (line_.size() > kMaxLine) line_.clear();
    while (!bytes.empty()) {
        const std::string_view piece = bytes.substr(0, kPiece);
        // A console that is just being restarted is waited for; one that is gone swallows what is written.
        const std::uint64_t deadline = loop_.deadline_ms(kPatienceMs);
        if (!loop_.until(deadline, [&] { return link_.up(); })) return;
        const bool sent =
            link_.send<FromControl>(16 + piece.size() / 8, abi::kDeadlineNever, [&](FromControl::Builder m) {
                m.setOutput({reinterpret_cast<const kj::byte*>(piece.data()), piece.size()});
            });
        if (sent)
            bytes.remove_prefix(piece.size());
        else if (link_.up())
            return;
    }
}

xl::Result<void> ConsoleTerminal::attach(std::uint64_t domain, std::string_view typed) {
    interrupted_ = false;
    const std::uint64_t deadline = loop_.deadline_ms(kAnswerMs);
    if (!loop_.until(deadline, [&] { return link_.up(); }))
        return xl::fail(xl::ErrorKind::Gone, "the console cannot be reached: " + link_.why());
    const std::uint32_t request = next_request_++;
    auto& answer = answers_[request];
    attached_ = true;  // the end may come in the same turn as the answer
    const bool sent = link_.send<FromControl>(16, deadline, [&](FromControl::Builder m) {
        m.initAttach().setRequest(request);
        m.getAttach().setDomain(domain);
    });
    const bool answered = sent && loop_.until(deadline, [&] { return answer.has_value(); });
    const auto text = answered ? *answer : std::string{"the console service does not answer"};
    answers_.erase(request);
    if (text.empty()) {
        // The answer came behind all input that the service had sent before it.
        std::string all{typed};
        all.append(input_.begin(), input_.end());
        input_.clear();
        all.resize(std::min(all.size(), kMaxTyped));
        (void)link_.send<FromControl>(16 + all.size() / 8, deadline, [&](FromControl::Builder m) {
            m.setTyped({reinterpret_cast<const kj::byte*>(all.data()), all.size()});
        });
        return {};
    }
    attached_ = false;
    return xl::fail(xl::ErrorKind::NotFound, text + ".");
}

xl::Result<std::string> ConsoleTerminal::history(std::uint64_t domain) {
    constexpr std::size_t kMost = 1 << 20;  // a domain that prints faster than this reads has no end
    const std::uint64_t deadline = loop_.deadline_ms(kAnswerMs);
    std::string all;
    for (std::uint64_t offset = 0; all.size() < kMost;) {
        const std::uint32_t request = next_request_++;
        auto& answer = answers_[request];
        const bool sent = link_.send<FromControl>(16, deadline, [&](FromControl::Builder m) {
            m.initHistory().setRequest(request);
            m.getHistory().setDomain(domain);
            m.getHistory().setOffset(offset);
        });
        const bool answered = sent && loop_.until(deadline, [&] { return answer.has_value(); });
        const std::string error = answered ? *answer : "the console service does not answer";
        answers_.erase(request);
        if (!error.empty()) return xl::fail(xl::ErrorKind::Other, error + ".");
        all += history_;
        offset = history_next_;
        if (history_end_) break;
    }
    return all;
}

void ConsoleTerminal::forget(std::uint64_t domain) {
    (void)link_.send<FromControl>(16, abi::kDeadlinePoll,
                                  [&](FromControl::Builder m) { m.initForget().setDomain(domain); });
}

void ConsoleTerminal::rename(std::uint64_t domain, const std::string& name) {
    (void)link_.send<FromControl>(32 + name.size() / 8, loop_.deadline_ms(kAnswerMs),
                                  [&](FromControl::Builder m) {
                                      m.initRename().setDomain(domain);
                                      m.getRename().setName(name.c_str());
                                  });
}

}  // namespace bulkhead::dom0
