// SPDX-License-Identifier: Apache-2.0
#include "services/console-stubdom/console_service.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include "abi/start.hpp"
#include "lib/ring/message.hpp"

namespace bulkhead::console {
namespace {

using ring::Client;
using ring::Io;
using schema::console::FromDomain;
using schema::console::ToControl;
using schema::console::ToDomain;

constexpr auto kEscape = std::byte{0x1d};  // Ctrl-]
constexpr size_t kMaxQueued = 16 * 1024;   // of dom0's output, and of typed input
constexpr size_t kHistoryBytes = 4096, kInputChunk = 512;

bool is_control(const Client& client) {
    return (client.badge() & abi::kControlRole) != 0;
}

capnp::Data::Reader data_of(std::span<const std::byte> bytes) {
    return {reinterpret_cast<const kj::byte*>(bytes.data()), bytes.size()};
}
std::span<const std::byte> bytes_of(capnp::Data::Reader data) {
    return {reinterpret_cast<const std::byte*>(data.begin()), data.size()};
}

// Takes up to kInputChunk bytes off a queue if `send` accepts them.
template <typename Send>
void drain(std::deque<std::byte>& queue, Send&& send) {
    while (!queue.empty()) {
        const std::vector<std::byte> part(
            queue.begin(), queue.begin() + static_cast<ptrdiff_t>(std::min(queue.size(), kInputChunk)));
        if (send(part) != Io::Ok) return;
        queue.erase(queue.begin(), queue.begin() + static_cast<ptrdiff_t>(part.size()));
    }
}

}  // namespace

bool ConsoleService::connected(Client& client) {
    if (is_control(client)) return true;
    Scrollback::Log* log = scrollback_.open(client.badge());
    if (!log) return false;
    log->connected = true;
    return true;
}

void ConsoleService::disconnected(Client& client, ring::CloseReason) {
    if (is_control(client)) {
        attached_.reset();
        holding_ = false;
        held_.clear();
        prompt_input_.clear();
        domain_input_.clear();
        return;
    }
    if (Scrollback::Log* log = scrollback_.find(client.badge())) log->connected = false;
}

bool ConsoleService::message(Client& client, std::span<const uint64_t> words) {
    return is_control(client) ? from_control(client, words) : from_domain(client, words);
}

bool ConsoleService::from_domain(Client& client, std::span<const uint64_t> words) {
    Scrollback::Log* log = scrollback_.find(client.badge());
    if (!log) log = scrollback_.open(client.badge());
    if (!log) return true;
    bool room = true;
    (void)ring::parse<FromDomain>(client.channel(), words, [&](FromDomain::Reader message) {
        switch (message.which()) {
            case FromDomain::HELLO:
                log->rename({message.getHello().begin(), message.getHello().size()});
                break;
            case FromDomain::OUTPUT: {
                // While somebody looks, nothing may be overwritten that was not shown yet.
                const auto bytes = bytes_of(message.getOutput());
                if (attached_ == client.badge() &&
                    log->written() - shown_ + bytes.size() > Scrollback::Log::capacity() &&
                    bytes.size() < Scrollback::Log::capacity())
                    room = false;
                else
                    log->append(bytes);
                break;
            }
            case FromDomain::CLOSED: break;
        }
        return true;
    });
    return room;
}

bool ConsoleService::from_control(Client& client, std::span<const uint64_t> words) {
    bool room = true;
    (void)ring::parse<FromControl>(client.channel(), words, [&](FromControl::Reader message) {
        switch (message.which()) {
            case FromControl::OUTPUT: {
                const auto bytes = bytes_of(message.getOutput());
                if (!prompt_output_.empty() && prompt_output_.size() + bytes.size() > kMaxQueued)
                    room = false;
                else
                    prompt_output_.insert(prompt_output_.end(), bytes.begin(), bytes.end());
                break;
            }
            case FromControl::ATTACH:
                attach(client, message.getAttach().getRequest(), message.getAttach().getDomain());
                break;
            case FromControl::HISTORY:
                history(client, message.getHistory().getRequest(), message.getHistory().getDomain(),
                        message.getHistory().getOffset());
                break;
            case FromControl::LIST: list(client, message.getList().getRequest()); break;
            case FromControl::FORGET: {
                Scrollback::Log* log = scrollback_.find(message.getForget().getDomain());
                if (log && !log->connected) scrollback_.forget(*log);
                answer(client, message.getForget().getRequest(),
                       log && log->connected ? "the domain is still connected" : "");
                break;
            }
            case FromControl::RENAME: {
                const auto name = message.getRename().getName();
                if (Scrollback::Log* log = scrollback_.find(message.getRename().getDomain()))
                    log->rename({name.begin(), name.size()});
                break;
            }
            case FromControl::TYPED: typed(bytes_of(message.getTyped())); break;
        }
        return true;
    });
    return room;
}

void ConsoleService::answer(Client& control, uint32_t request, const char* error) {
    (void)ring::send<ToControl>(control.channel(), 32 + std::strlen(error) / 8,
                                [&](ToControl::Builder message) {
                                    message.initResult().setRequest(request);
                                    message.getResult().setError(error);
                                });
}

void ConsoleService::attach(Client& control, uint32_t request, uint64_t badge) {
    Scrollback::Log* log = scrollback_.find(badge);
    answer(control, request, log ? "" : "the domain has no console");
    if (!log) return;
    attached_ = badge;
    shown_ = log->oldest();
    domain_input_.clear();
    holding_ = true;
    held_.assign(prompt_input_.begin(), prompt_input_.end());
    prompt_input_.clear();
}

// Typed for the domain, in order: what dom0 had read before it was answered, then what came since.
void ConsoleService::typed(std::span<const std::byte> before) {
    if (!std::exchange(holding_, false)) return;
    std::vector<std::byte> all(before.begin(), before.end());
    all.insert(all.end(), held_.begin(), held_.end());
    held_.clear();
    input(all);
}

void ConsoleService::history(Client& control, uint32_t request, uint64_t badge, uint64_t offset) {
    const Scrollback::Log* log = scrollback_.find(badge);
    if (!log) return answer(control, request, "the domain has no console");
    std::byte bytes[kHistoryBytes];
    const size_t count = log->read(offset, bytes);
    (void)ring::send<ToControl>(control.channel(), 32 + kHistoryBytes / 8, [&](ToControl::Builder message) {
        auto result = message.initResult();
        result.setRequest(request);
        result.setData(data_of({bytes, count}));
        result.setNext(offset);
        result.setEnd(offset == log->written());
    });
}

void ConsoleService::list(Client& control, uint32_t request) {
    const auto logs = scrollback_.logs();
    (void)ring::send<ToControl>(control.channel(), 32 + logs.size() * 16, [&](ToControl::Builder message) {
        auto result = message.initResult();
        result.setRequest(request);
        auto domains = result.initDomains(static_cast<unsigned>(logs.size()));
        for (unsigned i = 0; i < logs.size(); i++) {
            const Scrollback::Log& log = *logs[i];
            const std::string name{log.name()};
            domains[i].setBadge(log.badge());
            domains[i].setName(name.c_str());
            domains[i].setConnected(log.connected);
            domains[i].setLogBytes(log.written());
            domains[i].setKeptBytes(static_cast<uint32_t>(log.written() - log.oldest()));
        }
    });
}

void ConsoleService::detach() {
    const uint64_t badge = *attached_;
    attached_.reset();
    holding_ = false;
    prompt_input_.insert(prompt_input_.end(), held_.begin(), held_.end());
    held_.clear();
    listener_->for_each([&](Client& client) {
        if (is_control(client))
            (void)ring::send<ToControl>(client.channel(), 16,
                                        [&](ToControl::Builder message) { message.setDetached(badge); });
    });
}

void ConsoleService::input(std::span<const std::byte> bytes) {
    if (holding_) {
        held_.insert(held_.end(), bytes.begin(),
                     bytes.begin() + static_cast<ptrdiff_t>(std::min(
                                         bytes.size(), kMaxQueued - std::min(kMaxQueued, held_.size()))));
        return;
    }
    for (const std::byte byte : bytes) {
        if (attached_ && byte == kEscape) {
            flush_input();
            detach();
            continue;
        }
        auto& queue = attached_ ? domain_input_ : prompt_input_;
        if (queue.size() < kMaxQueued) queue.push_back(byte);
    }
    flush_input();
}

void ConsoleService::flush_input() {
    listener_->for_each([&](Client& client) {
        if (is_control(client))
            drain(prompt_input_, [&](const auto& part) {
                return ring::send<ToControl>(
                    client.channel(), 16 + kInputChunk / 8,
                    [&](ToControl::Builder message) { message.setInput(data_of(part)); });
            });
        else if (attached_ == client.badge())
            drain(domain_input_, [&](const auto& part) {
                return ring::send<ToDomain>(
                    client.channel(), 16 + kInputChunk / 8,
                    [&](ToDomain::Builder message) { message.setInput(data_of(part)); });
            });
    });
}

void ConsoleService::room(Client&) {
    flush_input();
}

size_t ConsoleService::show(std::span<const std::byte> bytes) {
    const size_t taken = uart_.write(bytes);
    if (screen_) screen_->write(bytes.first(taken));
    return taken;
}

void ConsoleService::pump() {
    std::byte part[Uart::kQueueBytes];
    while (!prompt_output_.empty() && uart_.room() != 0) {
        const size_t bytes = std::min(prompt_output_.size(), uart_.room());
        std::copy_n(prompt_output_.begin(), bytes, part);
        const size_t taken = show({part, bytes});
        prompt_output_.erase(prompt_output_.begin(), prompt_output_.begin() + static_cast<ptrdiff_t>(taken));
    }
    if (!attached_ || !prompt_output_.empty()) return;
    const Scrollback::Log* log = scrollback_.find(*attached_);
    if (!log) return detach();
    while (uart_.room() != 0) {
        const size_t bytes = log->read(shown_, {part, uart_.room()});
        if (bytes == 0) break;
        (void)show({part, bytes});
    }
    if (!log->connected && shown_ == log->written()) detach();
}

}  // namespace bulkhead::console
