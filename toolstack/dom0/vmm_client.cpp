// SPDX-License-Identifier: Apache-2.0
#include "toolstack/dom0/vmm_client.hpp"

#include "schema/vmm.capnp.h"
#include "toolstack/xl/domain_config.hpp"
#include "toolstack/xl/text.hpp"

namespace bulkhead::dom0 {
namespace {

namespace wire = schema::vmm;
constexpr std::size_t kMaxMessage = 1024, kMaxExits = 64;

VmmState::Kind kind_of(wire::State state) {
    switch (state) {
        case wire::State::EMPTY:
        case wire::State::CONFIGURED: return VmmState::Kind::Idle;
        case wire::State::PAUSED: return VmmState::Kind::Paused;
        case wire::State::RUNNING: return VmmState::Kind::Running;
        case wire::State::SHUTDOWN: return VmmState::Kind::Shutdown;
        case wire::State::CRASHED: return VmmState::Kind::Crashed;
        case wire::State::DYING: break;
    }
    return VmmState::Kind::Unknown;
}

VmmState::Reason reason_of(wire::ExitReason reason) {
    switch (reason) {
        case wire::ExitReason::POWEROFF: return VmmState::Reason::Poweroff;
        case wire::ExitReason::REBOOT: return VmmState::Reason::Reboot;
        case wire::ExitReason::SUSPEND: return VmmState::Reason::Suspend;
        case wire::ExitReason::CRASH:
        case wire::ExitReason::VMM_ERROR: return VmmState::Reason::Crash;
        case wire::ExitReason::WATCHDOG: return VmmState::Reason::Watchdog;
        case wire::ExitReason::NONE: break;
    }
    return VmmState::Reason::None;
}

VmmState state_of(wire::GuestState::Reader in) {
    VmmState out;
    out.kind = kind_of(in.getState());
    out.reason = reason_of(in.getReason());
    const auto message = in.getMessage();
    out.message = xl::printable({message.begin(), std::min<std::size_t>(message.size(), kMaxMessage)});
    for (const auto vcpu : in.getVcpus())
        if (out.vcpus.size() < xl::DomainConfig::kMaxVcpus)
            out.vcpus.push_back({vcpu.getOnline(), vcpu.getBlocked(), vcpu.getRunning()});
    out.store_port = in.getStorePort();
    out.console_port = in.getConsolePort();
    return out;
}

xl::ExitTrace trace_of(wire::Answer::Trace::Reader in) {
    xl::ExitTrace out{in.getFirst(), {}};
    for (const auto exit : in.getExits()) {
        if (out.exits.size() == kMaxExits) break;
        out.exits.push_back({exit.getReason(), exit.getRip(), exit.getDetail()});
    }
    return out;
}

}  // namespace

VmmClient::VmmClient(Loop& loop, cap::Cap<cap::Endpoint> endpoint)
    : loop_{loop},
      endpoint_{std::move(endpoint)},
      link_{loop,
            endpoint_.address(),
            {[this](auto words) { on_message(words); }, [this] { (void)ask_state(); },
             [this] { changed_ = true; }},
            false} {}

void VmmClient::on_message(std::span<const std::uint64_t> words) {
    (void)ring::parse<wire::Answer>(link_.channel(), words, [&](wire::Answer::Reader m) {
        if (m.isState()) {
            state_ = state_of(m.getState());
            changed_ = true;
        }
        const auto it = answers_.find(m.getRequest());
        if (it == answers_.end()) return true;
        it->second.done = true;
        if (m.isError())
            it->second.error = xl::printable(
                {m.getError().begin(), std::min<std::size_t>(m.getError().size(), kMaxMessage)});
        if (m.isTrace()) it->second.trace = trace_of(m.getTrace());
        return true;
    });
}

template <typename Fill>
xl::Result<VmmClient::Answer> VmmClient::ask_for(std::size_t words, std::int64_t timeout_ms, Fill&& fill) {
    const std::uint64_t deadline = loop_.deadline_ms(timeout_ms);
    (void)loop_.until(deadline, [&] { return link_.up() || link_.failed(); });
    if (!link_.up()) return xl::fail(xl::ErrorKind::Gone, "its VMM cannot be reached: " + link_.why() + ".");
    const std::uint32_t request = next_request_++;
    Answer& answer = answers_[request];
    const bool sent = link_.send<wire::Request>(words, deadline, [&](wire::Request::Builder m) {
        m.setRequest(request);
        fill(m);
    });
    if (sent) (void)loop_.until(deadline, [&] { return answer.done || !link_.up(); });
    Answer result = std::move(answers_.extract(request).mapped());
    if (result.done && result.error.empty()) return result;
    if (result.done) return xl::fail(xl::ErrorKind::Other, result.error);
    return xl::fail(xl::ErrorKind::Gone,
                    link_.up() ? "its VMM does not answer." : "its VMM died; `xl dmesg` may tell more.");
}

template <typename Fill>
xl::Result<void> VmmClient::ask(std::size_t words, std::int64_t timeout_ms, Fill&& fill) {
    const auto answer = ask_for(words, timeout_ms, fill);
    return answer ? xl::Result<void>{} : std::unexpected(answer.error());
}

xl::Result<void> VmmClient::configure(const VmmConfiguration& c, std::int64_t timeout_ms) {
    return ask(64 + (c.name.size() + c.command_line.size()) / 8, timeout_ms, [&](wire::Request::Builder m) {
        auto out = m.initConfigure();
        out.setName(c.name.c_str());
        out.setDomain(c.domain);
        out.setUuid({c.uuid.data(), c.uuid.size()});
        out.setMemoryKiB(c.memory_kib);
        out.setMaxMemoryKiB(c.max_memory_kib);
        out.setVcpus(static_cast<std::uint16_t>(c.vcpus));
        out.setMaxVcpus(static_cast<std::uint16_t>(c.max_vcpus));
        out.setCommandLine(c.command_line.c_str());
        out.setStartPaused(true);
        out.setWallClockTsc(c.wall_clock_tsc);
        out.setWallClockNs(c.wall_clock_ns);
    });
}

xl::Result<void> VmmClient::build(std::int64_t timeout_ms) {
    auto built = ask(16, timeout_ms, [](wire::Request::Builder m) { m.setStart(); });
    if (!built) return built;
    const std::uint32_t request = ask_state();
    (void)loop_.until(loop_.deadline_ms(timeout_ms), [&] { return answered(request) || !link_.up(); });
    drop(request);
    return {};
}

xl::Result<void> VmmClient::unpause(std::int64_t timeout_ms) {
    return ask(16, timeout_ms, [](wire::Request::Builder m) { m.setUnpause(); });
}

xl::Result<xl::ExitTrace> VmmClient::trace(std::uint32_t vcpu, std::int64_t timeout_ms) {
    auto answer = ask_for(16, timeout_ms,
                          [&](wire::Request::Builder m) { m.setTrace(static_cast<std::uint16_t>(vcpu)); });
    if (!answer) return std::unexpected(answer.error());
    if (!answer->trace) return xl::fail(xl::ErrorKind::Other, "its VMM answers something else.");
    return std::move(*answer->trace);
}

std::uint32_t VmmClient::ask_state() {
    const std::uint32_t request = next_request_++;
    answers_[request] = {};
    const bool sent = link_.send<wire::Request>(16, abi::kDeadlinePoll, [&](wire::Request::Builder m) {
        m.setRequest(request);
        m.setState();
    });
    answers_[request].done = !sent;
    return request;
}

bool VmmClient::answered(std::uint32_t request) const {
    const auto it = answers_.find(request);
    return it == answers_.end() || it->second.done;
}

}  // namespace bulkhead::dom0
