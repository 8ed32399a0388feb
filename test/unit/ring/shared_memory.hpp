// SPDX-License-Identifier: Apache-2.0
// Two regions as the kernel would map them: each side writes one and sees the other read-only, through a
// second mapping that can be taken away at any moment. Faults in the peer accessors continue at their
// landing, as the kernel does it.
#pragma once

#include <signal.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <span>

#include "lib/ring/channel.hpp"
#include "lib/ring/peer_access.hpp"

namespace ring_test {

inline void fixup_handler(int, siginfo_t*, void* context) {
    auto* registers = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
    const auto rip = static_cast<uint64_t>(registers[REG_RIP]);
    if (rip < reinterpret_cast<uint64_t>(bulkhead_peer_access_start) ||
        rip >= reinterpret_cast<uint64_t>(bulkhead_peer_access_end)) {
        static const char text[] = "fault outside of the peer accessors\n";
        if (write(2, text, sizeof(text) - 1) < 0) {
        }
        _exit(99);
    }
    registers[REG_RIP] = static_cast<greg_t>(reinterpret_cast<uint64_t>(bulkhead_peer_access_landing));
}

inline void install_fixup() {
    struct sigaction action = {};
    action.sa_sigaction = fixup_handler;
    action.sa_flags = SA_SIGINFO;
    sigaction(SIGSEGV, &action, nullptr);
    sigaction(SIGBUS, &action, nullptr);
}

// One region: `own` is writable, `granted` the peer's read-only view of the same memory.
class Region {
  public:
    explicit Region(size_t bytes) : bytes_{bytes} {
        install_fixup();
        const int fd = memfd_create("region", 0);
        if (fd < 0 || ftruncate(fd, static_cast<off_t>(bytes)) != 0) abort();
        own_ = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        granted_ = mmap(nullptr, bytes, PROT_READ, MAP_SHARED, fd, 0);
        close(fd);
        if (own_ == MAP_FAILED || granted_ == MAP_FAILED) abort();
    }
    ~Region() {
        munmap(own_, bytes_);
        munmap(granted_, bytes_);
    }
    Region(const Region&) = delete;
    Region& operator=(const Region&) = delete;

    std::span<std::byte> own() const { return {static_cast<std::byte*>(own_), bytes_}; }
    std::span<const std::byte> granted() const { return {static_cast<const std::byte*>(granted_), bytes_}; }
    void revoke() { mprotect(granted_, bytes_, PROT_NONE); }
    bulkhead::ring::Control& control() { return *static_cast<bulkhead::ring::Control*>(own_); }
    uint64_t* data() { return reinterpret_cast<uint64_t*>(own().data() + bulkhead::ring::kDataOffset); }

  private:
    size_t bytes_;
    void* own_;
    void* granted_;
};

class CountingBell final : public bulkhead::ring::Doorbell {
  public:
    void ring() override { ++rings; }
    unsigned rings = 0;
};

// A semaphore on a counter that a thread sleeps on: what a Notification does.
class SleepingBell final : public bulkhead::ring::Doorbell {
  public:
    void ring() override {
        rings.fetch_add(1);
        signalled_.store(true);
        signalled_.notify_one();
    }
    void wait() {
        signalled_.wait(false);
        signalled_.store(false);
    }
    std::atomic<unsigned> rings = 0;

  private:
    std::atomic<bool> signalled_ = false;
};

}  // namespace ring_test
