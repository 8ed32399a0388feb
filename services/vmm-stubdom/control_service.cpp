// SPDX-License-Identifier: Apache-2.0
#include "services/vmm-stubdom/control_service.hpp"

#include <algorithm>
#include <cstring>

#include "lib/ring/message.hpp"
#include "lib/ring/peer_access.hpp"

namespace bulkhead::vmm {

namespace {

using schema::vmm::GuestState;
using Result = std::expected<void, std::string>;
constexpr std::size_t kMostAnswers = 64;
constexpr uint64_t kMostImage = uint64_t{1} << 30;

std::span<const std::byte> mapped_file(const abi::StartInfo& start, const char* name) {
    const abi::NamedCap* found = cap::find_cap(start, name);
    if (!found || !found->mapped.base) return {};
    return {reinterpret_cast<const std::byte*>(found->mapped.base), found->mapped.size};
}

schema::vmm::ExitReason exit_reason(ExitReport::Reason reason) {
    switch (reason) {
        case ExitReport::Poweroff: return schema::vmm::ExitReason::POWEROFF;
        case ExitReport::Reboot: return schema::vmm::ExitReason::REBOOT;
        case ExitReport::Suspend: return schema::vmm::ExitReason::SUSPEND;
        case ExitReport::Crash: return schema::vmm::ExitReason::CRASH;
        case ExitReport::Watchdog: return schema::vmm::ExitReason::WATCHDOG;
        case ExitReport::None:
        case ExitReport::Killed: break;
    }
    return schema::vmm::ExitReason::NONE;
}

}  // namespace

// ---- the channel -----------------------------------------------------------------------------------------

bool ControlService::connected(ring::Client& client) {
    client_ = &client;
    answers_.clear();
    return true;
}

void ControlService::disconnected(ring::Client& client, ring::CloseReason) {
    if (client_ == &client) client_ = nullptr;
}

void ControlService::room(ring::Client&) {
    flush();
}

bool ControlService::message(ring::Client& client, std::span<const uint64_t> words) {
    if (!flush() && answers_.size() >= kMostAnswers) return false;
    ring::parse<Request>(client.channel(), words, [&](Request::Reader request) {
        handle(client, request);
        return true;
    });
    return true;
}

void ControlService::answer(Answer a) {
    if (!client_) return;
    answers_.push_back(std::move(a));
    flush();
}

void ControlService::answer(uint32_t request, const Result& result) {
    if (result)
        answer({Answer::Ok, request});
    else
        answer({Answer::Error, request, result.error()});
}

bool ControlService::flush() {
    while (client_ && !answers_.empty()) {
        if (!send(answers_.front())) return false;
        answers_.pop_front();
    }
    return true;
}

bool ControlService::send(const Answer& a) {
    const std::size_t vcpus = guest_ ? guest_->vm().vcpus() : 0;
    const std::size_t trace = a.kind == Answer::Trace ? TraceRing::kMost * 3 : 0;
    const std::size_t words = 64 + a.text.size() / 8 + vcpus * 8 + trace;
    const ring::Io io = ring::send<schema::vmm::Answer>(client_->channel(), words, [&](auto m) {
        m.setRequest(a.request);
        switch (a.kind) {
            case Answer::Ok: m.setOk(); break;
            case Answer::Error: m.setError(a.text.c_str()); break;
            case Answer::State: fill_state(m.initState()); break;
            case Answer::Trace: fill_trace(m.initTrace(), a.vcpu); break;
            case Answer::Text: {
                auto t = m.initText();
                t.setData(
                    capnp::Data::Reader{reinterpret_cast<const kj::byte*>(a.text.data()), a.text.size()});
                t.setNext(a.next);
                break;
            }
        }
    });
    return io != ring::Io::Full;
}

// ---- requests --------------------------------------------------------------------------------------------

void ControlService::handle(ring::Client& client, Request::Reader request) {
    const uint32_t id = request.getRequest();
    const auto with_guest = [&](auto action) {
        if (const Result there = need_guest(); !there) return answer(id, there);
        action();
        answer(id, Result{});
    };
    switch (request.which()) {
        case Request::CONFIGURE: return answer(id, configure(request.getConfigure()));
        case Request::IMAGE: return answer(id, take_image(client, request.getImage()));
        case Request::START: return answer(id, start());
        case Request::PAUSE: return with_guest([&] { guest_->vm().pause(); });
        case Request::UNPAUSE: return answer(id, guest_ ? guest_->start() : need_guest());
        case Request::SHUTDOWN:
            return with_guest([] {});  // the guest acts on control/shutdown; nothing is to be done here
        case Request::SYSRQ: return with_guest([] {});  // likewise on control/sysrq
        case Request::RESUME: return with_guest([&] { guest_->vm().resume(false); });
        case Request::TRIGGER:
            if (request.getTrigger() != schema::vmm::Trigger::NMI)
                return answer(id,
                              std::unexpected{std::string{"vmm: a PVH guest has no power or sleep button"}});
            return with_guest([&] { guest_->vm().trigger_nmi(0); });
        case Request::STATE: return answer({Answer::State, id});
        case Request::LOG: {
            Answer a{Answer::Text, id};
            if (guest_) a.text = guest_->text_since(request.getLog(), a.next).substr(0, 8192);
            return answer(std::move(a));
        }
        case Request::DESTROY:
            if (guest_) guest_->stop();
            destroyed_ = true;
            return answer(id, Result{});
        case Request::REGISTERS: return answer({Answer::Text, id, registers(request.getRegisters())});
        case Request::TRACE: return answer_trace(id, request.getTrace());
    }
    answer(id,
           std::unexpected{std::string{"vmm: this request is unknown here: dom0 is newer than this VMM"}});
}

Result ControlService::need_guest() const {
    if (guest_) return {};
    return std::unexpected{std::string{"vmm: the guest has not been started"}};
}

Result ControlService::configure(schema::vmm::Configuration::Reader c) {
    if (guest_) return std::unexpected{std::string{"vmm: the guest is built already"}};
    const unsigned vcpus = c.getVcpus();
    if (vcpus < 1 || vcpus > xenabi::kMaxVcpus)
        return std::unexpected{"vmm: vcpus = " + std::to_string(vcpus) + " is not possible (1 to " +
                               std::to_string(xenabi::kMaxVcpus) + ")"};
    if (c.getDomain() == 0 || c.getDomain() >= DOMID_FIRST_RESERVED)
        return std::unexpected{"vmm: domain id " + std::to_string(c.getDomain()) + " is not possible"};
    config_ = {};
    VmConfig& vm = config_.vm;
    const std::string_view given{c.getName().cStr(), c.getName().size()};
    name_ = vm.name = std::string{given.substr(0, 64)};
    vm.domid = static_cast<uint16_t>(c.getDomain());
    const auto uuid = c.getUuid();
    std::copy_n(uuid.begin(), std::min(uuid.size(), vm.uuid.size()), vm.uuid.begin());
    vm.vcpus = vcpus;
    vm.ram_bytes = c.getMemoryKiB() << 10;
    vm.tsc_khz = env_.kernel.tsc_khz;
    const PvClock clock{vm.tsc_khz, c.getWallClockTsc()};
    vm.start_tsc = cap::read_tsc();
    vm.wall_clock_ns = c.getWallClockNs() + clock.system_ns(vm.start_tsc);
    config_.command_line = c.getCommandLine().cStr();
    start_paused_ = c.getStartPaused();
    configured_ = true;
    return {};
}

Result ControlService::take_image(ring::Client& client, Request::Image::Reader image) {
    std::vector<std::byte>& to = image.getKind() == schema::vmm::ImageKind::KERNEL ? kernel_ : ramdisk_;
    if (image.getOffset() == 0) to.clear();
    if (image.getTotal() > kMostImage || image.getOffset() != to.size() ||
        image.getBytes() > image.getTotal() - image.getOffset())
        return std::unexpected{std::string{"vmm: a piece of an image does not follow the one before it"}};
    const auto pool = client.pool();
    if (image.getPoolOffset() > pool.size() || image.getBytes() > pool.size() - image.getPoolOffset())
        return std::unexpected{std::string{"vmm: a piece of an image lies outside the pool"}};
    if (image.getOffset() % 8 != 0 || image.getPoolOffset() % 8 != 0)
        return std::unexpected{std::string{"vmm: a piece of an image is not aligned to 8 bytes"}};
    // The pool is copied in whole words; it is a whole number of pages, so the last one is there.
    const std::size_t words = (image.getBytes() + 7) / 8;
    to.resize(image.getOffset() + words * 8);
    const bool copied =
        ring::copy_in(to.data() + image.getOffset(), pool.data() + image.getPoolOffset(), words);
    to.resize(image.getOffset() + image.getBytes());
    if (!copied) return std::unexpected{std::string{"vmm: the pool was taken back"}};
    return {};
}

Result ControlService::start() {
    if (!configured_) return std::unexpected{std::string{"vmm: the guest has not been configured"}};
    if (guest_) return std::unexpected{std::string{"vmm: the guest is built already"}};
    config_.kernel =
        kernel_.empty() ? mapped_file(env_.start, "kernel") : std::span<const std::byte>{kernel_};
    config_.ramdisk =
        ramdisk_.empty() ? mapped_file(env_.start, "ramdisk") : std::span<const std::byte>{ramdisk_};
    if (config_.kernel.empty()) return std::unexpected{std::string{"vmm: there is no kernel image"}};
    auto built = build_(config_);
    kernel_ = {};
    ramdisk_ = {};
    if (!built) return std::unexpected{built.error()};
    guest_ = std::move(*built);
    return start_paused_ ? Result{} : guest_->start();
}

std::string ControlService::registers(unsigned vcpu) {
    if (!guest_ || vcpu >= guest_->vm().vcpus()) return "there is no such vCPU\n";
    if (guest_->vm().run_state() == Vm::RunState::Running) return "the guest is running: pause it first\n";
    return guest_->vm().vcpu(vcpu).describe();
}

void ControlService::answer_trace(uint32_t request, unsigned vcpu) {
    if (const Result there = need_guest(); !there) return answer(request, there);
    if (vcpu >= guest_->vm().vcpus())
        return answer(request, std::unexpected{"vmm: there is no vCPU " + std::to_string(vcpu) +
                                               "; the guest has " + std::to_string(guest_->vm().vcpus())});
    Answer a{Answer::Trace, request};
    a.vcpu = vcpu;
    answer(std::move(a));
}

void ControlService::fill_trace(schema::vmm::Answer::Trace::Builder t, unsigned vcpu) {
    const TraceRing::Last last = guest_->vm().vcpu(vcpu).trace().last(TraceRing::kMost);
    t.setFirst(last.first);
    auto list = t.initExits(last.count);
    for (unsigned i = 0; i < last.count; ++i) {
        list[i].setReason(static_cast<uint32_t>(last.exits[i].reason));
        list[i].setRip(last.exits[i].rip);
        list[i].setDetail(last.exits[i].detail);
    }
}

// ---- state -----------------------------------------------------------------------------------------------

void ControlService::tell_change() {
    answer({Answer::State, 0});
}

void ControlService::fill_state(GuestState::Builder s) {
    using schema::vmm::State;
    s.setFreeKiB(env_.memory.free_bytes() >> 10);
    if (destroyed_)
        s.setState(State::DYING);
    else if (!guest_)
        s.setState(configured_ ? State::CONFIGURED : State::EMPTY);
    if (!guest_) return;
    Vm& vm = guest_->vm();
    const ExitReport report = vm.report();
    if (!destroyed_) {
        switch (vm.run_state()) {
            case Vm::RunState::Paused: s.setState(State::PAUSED); break;
            case Vm::RunState::Running: s.setState(State::RUNNING); break;
            case Vm::RunState::Suspended: s.setState(State::SHUTDOWN); break;
            case Vm::RunState::Ended:
                s.setState(report.reason == ExitReport::Crash ? State::CRASHED : State::SHUTDOWN);
                break;
        }
    }
    s.setReason(exit_reason(report.reason));
    s.setMessage(report.text.c_str());
    s.setMemoryKiB(guest_->ram_bytes() >> 10);
    s.setStorePort(vm.store_port());
    s.setConsolePort(vm.console_port());
    auto list = s.initVcpus(vm.vcpus());
    const uint64_t now = cap::read_tsc();
    for (unsigned i = 0; i < vm.vcpus(); ++i) {
        Vcpu& vcpu = vm.vcpu(i);
        const auto activity = vcpu.activity();
        list[i].setOnline(activity != Vcpu::Activity::Down);
        list[i].setBlocked(activity == Vcpu::Activity::Blocked);
        list[i].setRunning(activity == Vcpu::Activity::Running);
        list[i].setRunTimeNs(vcpu.clock().running_ns(now));
        list[i].setExits(vcpu.trace().count());
    }
}

}  // namespace bulkhead::vmm
