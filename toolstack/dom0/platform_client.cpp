// SPDX-License-Identifier: Apache-2.0
#include "toolstack/dom0/platform_client.hpp"

#include <algorithm>

#include "schema/platform.capnp.h"

namespace bulkhead::dom0 {
namespace {

constexpr std::int64_t kAnswerMs = 5000;

}  // namespace

PlatformClient::PlatformClient(Loop& loop, cap::CapAddr endpoint)
    : loop_{loop}, link_{loop, endpoint, {[this](auto words) { on_message(words); }, {}, {}}, true} {}

void PlatformClient::on_message(std::span<const std::uint64_t> words) {
    using schema::platform::Answer;
    (void)ring::parse<Answer>(link_.channel(), words, [&](Answer::Reader m) {
        if (m.isPowerButton()) {
            button_presses_ = std::max(button_presses_, m.getPowerButton());
            return true;
        }
        const auto it = answers_.find(m.getRequest());
        if (it == answers_.end()) return true;
        it->second.done = true;
        if (m.isError())
            it->second.error = std::string{m.getError().begin(), m.getError().size()};
        else if (m.isTimers())
            it->second.timers = {m.getTimers().getByPmTimer(), m.getTimers().getByHpet()};
        else
            it->second.time = {m.getTime().getTsc(), m.getTime().getNanosecondsUtc()};
        return true;
    });
}

xl::Result<PlatformClient::Answer> PlatformClient::ask(Ask what) {
    using schema::platform::Request;
    const std::uint64_t deadline = loop_.deadline_ms(kAnswerMs);
    if (!loop_.until(deadline, [&] { return link_.up(); }))
        return xl::fail(xl::ErrorKind::Gone, "the platform service cannot be reached: " + link_.why() + ".");
    const std::uint32_t request = next_request_++;
    Answer& answer = answers_[request];
    const bool sent = link_.send<Request>(16, deadline, [&](Request::Builder m) {
        m.setRequest(request);
        switch (what) {
            case Ask::Time: m.setTime(); break;
            case Ask::PowerOff: m.setPowerOff(); break;
            case Ask::Reset: m.setReset(); break;
            case Ask::Timers: m.setTimers(); break;
        }
    });
    const bool answered = sent && loop_.until(deadline, [&] { return answer.done; });
    Answer result = std::move(answers_.extract(request).mapped());
    if (!answered) return xl::fail(xl::ErrorKind::Gone, "the platform service does not answer.");
    if (!result.error.empty()) return xl::fail(xl::ErrorKind::Other, result.error + ".");
    return result;
}

xl::Result<PlatformClient::Time> PlatformClient::time() {
    const auto answer = ask(Ask::Time);
    if (!answer) return std::unexpected(answer.error());
    return answer->time;
}
xl::Result<PlatformClient::Timers> PlatformClient::timers() {
    const auto answer = ask(Ask::Timers);
    if (!answer) return std::unexpected(answer.error());
    return answer->timers;
}
xl::Result<void> PlatformClient::power_off() {
    const auto answer = ask(Ask::PowerOff);
    if (!answer) return std::unexpected(answer.error());
    return {};
}
xl::Result<void> PlatformClient::reset() {
    const auto answer = ask(Ask::Reset);
    if (!answer) return std::unexpected(answer.error());
    return {};
}

}  // namespace bulkhead::dom0
