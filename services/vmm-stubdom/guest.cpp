// SPDX-License-Identifier: Apache-2.0
#include "services/vmm-stubdom/guest.hpp"

#include "lib/runtime/thread_block.hpp"
#include "services/vmm-stubdom/loader/pvh_boot.hpp"

namespace bulkhead::vmm {

std::expected<std::unique_ptr<Guest>, std::string> Guest::build(cap::Environment& env, GuestConfig config,
                                                                ConsoleSink& console, XenstoreLink& store,
                                                                cap::CapAddr wake) {
    std::unique_ptr<Guest> guest{new Guest{env, console, wake}};
    auto ram = GuestRam::create(env, config.vm.ram_bytes);
    if (!ram) return std::unexpected{ram.error()};
    guest->ram_ = std::move(*ram);
    config.vm.ram_bytes = guest->ram_->ram_bytes();

    const BootModule ramdisk{config.ramdisk, {}};
    PvhConfig boot;
    boot.ram_bytes = config.vm.ram_bytes;
    boot.vcpus = config.vm.vcpus;
    boot.kernel = config.kernel;
    if (!config.ramdisk.empty()) boot.modules = {&ramdisk, 1};
    boot.command_line = config.command_line;
    const auto start = prepare_pvh(guest->ram_->memory(), boot);
    if (!start) return std::unexpected{start.error().sentence};

    const unsigned vcpus = config.vm.vcpus;
    config.vm.pause_exits = vcpus > env.kernel.cpus;
    guest->vm_ =
        std::make_unique<Vm>(std::move(config.vm), guest->ram_->memory(), *guest->ram_, *guest, host_cpuid);
    for (unsigned i = 0; i < vcpus; ++i) {
        auto port = KernelCpuPort::create(env, guest->ram_->root());
        if (!port)
            return std::unexpected{"vcpu " + std::to_string(i) +
                                   " cannot be made: " + cap::describe(port.error())};
        guest->ports_.push_back(std::move(*port));
        guest->vm_->add_vcpu(*guest->ports_.back());
    }
    guest->vm_->vcpu(0).start_protected(start->entry, static_cast<uint32_t>(start->start_info.value()));
    guest->console_ = std::make_unique<ConsoleRing>(guest->ram_->special_page(kConsoleFrame), console);
    guest->store_ = std::make_unique<XenstoreRing>(guest->ram_->special_page(kStoreFrame), store);
    return guest;
}

Guest::~Guest() {
    if (vm_) stop();
}

std::expected<void, std::string> Guest::start() {
    // Not std::thread: sixteen default stacks would be most of a small VMM's memory.
    constexpr std::size_t kStackBytes = 64 << 10;
    starts_.reserve(vm_->vcpus());
    for (auto i = static_cast<unsigned>(threads_.size()); i < vm_->vcpus(); ++i) {
        pthread_attr_t attributes;
        pthread_attr_init(&attributes);
        pthread_attr_setstacksize(&attributes, kStackBytes);
        starts_.push_back({this, i});
        pthread_t thread{};
        const int error = pthread_create(
            &thread, &attributes,
            [](void* start) -> void* {
                const auto& [guest, vcpu] = *static_cast<Start*>(start);
                guest->run_vcpu(vcpu);
                return nullptr;
            },
            &starts_.back());
        pthread_attr_destroy(&attributes);
        if (error != 0) {
            starts_.pop_back();
            return std::unexpected{"vmm: the thread of vcpu " + std::to_string(i) +
                                   " cannot be made: this VMM has too little memory of its own"};
        }
        threads_.push_back(thread);
    }
    vm_->start();
    return {};
}

void Guest::stop() {
    vm_->end({ExitReport::Killed, 0, {}});
    for (const pthread_t thread : threads_) pthread_join(thread, nullptr);
    threads_.clear();
    starts_.clear();
}

void Guest::run_vcpu(unsigned index) {
    // Each vCPU runs on a scheduling context of its own (CPU, weight); without one it shares this domain's.
    if (index < env_.start.sched_contexts.count) {
        const cap::CapAddr context{0, env_.start.sched_contexts.first + index};
        if (const cap::Status status =
                cap::sys::thread_set(runtime::own_thread(), abi::ThreadSlot::SchedContext, context);
            status != cap::Status::Ok)
            log("vmm: vcpu " + std::to_string(index) +
                " stays on its VMM's scheduling context: " + cap::describe(status));
    }
    vm_->vcpu(index).run();
    if (ports_[index]->last_error() != cap::Status::Ok)
        log("vmm: " + vm_->config().name + ": vcpu " + std::to_string(index) +
            ": the kernel refused to run it: " + cap::describe(ports_[index]->last_error()) + ", field " +
            std::to_string(ports_[index]->state().exit_code));
}

void Guest::pump() {
    pump_text();
    if (console_->pump()) vm_->raise(vm_->console_port());
    if (store_->pump()) vm_->raise(vm_->store_port());
}

void Guest::pump_text() {
    std::string fresh;
    {
        const std::lock_guard guard{text_mutex_};
        const uint64_t first = text_end_ - text_.size();
        if (text_shown_ < first) text_shown_ = first;
        fresh = text_.substr(text_shown_ - first);
    }
    if (!fresh.empty()) text_shown_ += sink_.write(fresh);
}

std::string Guest::text_since(uint64_t offset, uint64_t& next) const {
    const std::lock_guard guard{text_mutex_};
    const uint64_t first = text_end_ - text_.size();
    next = text_end_;
    return offset >= text_end_ ? std::string{} : text_.substr(offset > first ? offset - first : 0);
}

void Guest::log(std::string_view sentence) {
    // One line of the kernel's log per line: a call takes no more than a page.
    while (!sentence.empty()) {
        const std::size_t end = sentence.find('\n');
        cap::log_line(sentence.substr(0, end));
        if (end == std::string_view::npos) break;
        sentence.remove_prefix(end + 1);
    }
}

void Guest::console_text(std::string_view text) {
    {
        const std::lock_guard guard{text_mutex_};
        text_ += text;
        text_end_ += text.size();
        if (text_.size() > kMostText) text_.erase(0, text_.size() - kMostText);
    }
    wake();
}

void Guest::notify_device(uint32_t) {
    wake();
}

void Guest::changed() {
    changed_.store(true);
    wake();
}

}  // namespace bulkhead::vmm
