// SPDX-License-Identifier: Apache-2.0
// A guest without a CPU: RAM with identity page tables, and vCPUs whose exits a test writes by hand.
#pragma once

#include <sys/mman.h>

#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "services/vmm-stubdom/hypercalls.hpp"
#include "services/vmm-stubdom/vm.hpp"
#include "services/vmm-stubdom/xen_abi.hpp"

namespace bulkhead::vmm::test {

class FakeCpu final : public CpuPort {
  public:
    abi::VcpuState& state() override { return state_; }
    abi::ExitReason run(uint64_t deadline) override {
        last_deadline = deadline;
        ++entries;
        injected = state_.inject;
        state_.inject = 0;
        window = state_.want_window != 0;
        state_.next_rip = 0;
        state_.valid = abi::VcpuState::kControl;
        const auto script = guest;  // may replace itself
        const abi::ExitReason reason = script ? script(state_) : abi::ExitReason::Notified;
        state_.reason = reason;
        return reason;
    }
    void sync() override { state_.valid = abi::VcpuState::kAllGroups; }
    void wait(uint64_t deadline) override {
        ++waits;
        last_deadline = deadline;
        if (on_wait) on_wait();
    }
    void yield() override {
        ++yields;
        if (on_yield) on_yield();
    }
    uint64_t now_tsc() override { return *now; }
    void kick() override { ++kicks; }

    std::function<abi::ExitReason(abi::VcpuState&)> guest;
    std::function<void()> on_wait, on_yield;
    const uint64_t* now = nullptr;
    uint64_t last_deadline = 0, injected = 0;
    bool window = false;
    unsigned entries = 0, waits = 0, yields = 0, kicks = 0;

  private:
    abi::VcpuState state_{};
};

class FakeGuest final : public PageProvider, public VmObserver {
  public:
    static constexpr uint64_t kRam = 4 << 20, kCode = 0x100000, kData = 0x200000;

    explicit FakeGuest(unsigned vcpus = 1, bool upcall_vector = false, CpuidSource cpuid = host_cpuid)
        : ram_{static_cast<std::byte*>(
              mmap(nullptr, kRam, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0))} {
        const GuestMemory::Segment segment{GuestPhys{0}, kRam, ram_};
        const auto memory = GuestMemory::create({&segment, 1});
        VmConfig config;
        config.vcpus = vcpus;
        config.ram_bytes = kRam;
        config.start_tsc = now;
        config.wall_clock_ns = 1'700'000'000'000'000'123;
        config.domid = 7;
        config.upcall_vector = upcall_vector;
        for (uint8_t i = 0; i < 16; ++i) config.uuid[i] = i;
        vm = std::make_unique<Vm>(config, *memory, *this, *this, cpuid);
        for (unsigned i = 0; i < vcpus; ++i) {
            cpus.push_back(std::make_unique<FakeCpu>());
            cpus.back()->now = &now;
            vm->add_vcpu(*cpus.back());
        }
        put<uint64_t>(0x1000, 0x2003);
        put<uint64_t>(0x2000, 0x3003);
        put<uint64_t>(0x3000, 0x000083);
        put<uint64_t>(0x3008, 0x200083);
        for (unsigned i = 0; i < vcpus; ++i) long_mode(i);
        vm->start();
    }
    ~FakeGuest() override {
        vm.reset();
        munmap(ram_, kRam);
    }

    template <typename T>
    void put(uint64_t at, const T& value) {
        std::memcpy(ram_ + at, &value, sizeof value);
    }
    template <typename T>
    T get(uint64_t at) const {
        T value;
        std::memcpy(&value, ram_ + at, sizeof value);
        return value;
    }
    std::byte* ram(uint64_t at) { return ram_ + at; }

    // The vCPU as a running 64-bit kernel.
    void long_mode(unsigned index) {
        vm->vcpu(index).start_protected(kCode, 0);
        abi::VcpuState& s = state(index);
        s.cr0 = 0x80000011;
        s.cr3 = 0x1000;
        s.cr4 = 0x20;
        s.efer = 0x500;
        s.cs.attributes = 0xa9b;
        s.rip = kCode;
        s.rflags = 0x202;
        s.cpl = 0;
    }
    abi::VcpuState& state(unsigned index = 0) { return cpus[index]->state(); }
    Vcpu& vcpu(unsigned index = 0) { return vm->vcpu(index); }

    // One exit of the given kind, at an instruction with these bytes.
    void exit(abi::ExitReason reason, std::vector<uint8_t> code, unsigned index = 0) {
        abi::VcpuState& s = state(index);
        if (!code.empty()) std::memcpy(ram_ + s.rip, code.data(), code.size());
        // Once; after a quick exit the vCPU enters the guest again in the same step.
        cpus[index]->guest = [this, reason, index](abi::VcpuState&) {
            cpus[index]->guest = nullptr;
            return reason;
        };
        vcpu(index).step();
        cpus[index]->guest = nullptr;
    }
    void turn(unsigned index = 0) { vcpu(index).step(); }  // an entry that ends with Notified

    int64_t call(uint64_t number, uint64_t a0 = 0, uint64_t a1 = 0, uint64_t a2 = 0, unsigned index = 0) {
        abi::VcpuState& s = state(index);
        s.rip = kCode;
        s.gpr[0] = number;
        s.gpr[7] = a0;
        s.gpr[6] = a1;
        s.gpr[2] = a2;
        exit(abi::ExitReason::Hypercall, {0x0f, 0x01, 0xd9}, index);
        return static_cast<int64_t>(s.gpr[0]);
    }
    template <typename T>
    int64_t call_with(uint64_t number, uint64_t command, T& argument, unsigned index = 0) {
        put(kData, argument);
        const int64_t result = call(number, command, kData, 0, index);
        argument = get<T>(kData);
        return result;
    }
    template <typename T>
    int64_t vcpu_call(uint64_t command, uint64_t which, T& argument, unsigned index = 0) {
        put(kData, argument);
        const int64_t result = call(__HYPERVISOR_vcpu_op, command, which, kData, index);
        argument = get<T>(kData);
        return result;
    }

    // PageProvider, VmObserver
    std::byte* populate(Gfn frame) override {
        if (populated.size() >= populate_limit) return nullptr;
        populated.push_back(frame);
        pages_.push_back(std::make_unique<Page>());
        return pages_.back()->bytes;
    }
    void log(std::string_view sentence) override { logged += std::string{sentence} + "\n"; }
    void console_text(std::string_view text) override { console += text; }
    void notify_device(uint32_t device) override { notified.push_back(device); }
    void changed() override { ++changes; }

    uint64_t now = 1'000'000;
    std::unique_ptr<Vm> vm;
    std::vector<std::unique_ptr<FakeCpu>> cpus;
    std::vector<Gfn> populated;
    std::size_t populate_limit = 100;
    std::string logged, console;
    std::vector<uint32_t> notified;
    unsigned changes = 0;

  private:
    struct alignas(4096) Page {
        std::byte bytes[4096] = {};
    };
    std::byte* ram_;
    std::vector<std::unique_ptr<Page>> pages_;
};

}  // namespace bulkhead::vmm::test
