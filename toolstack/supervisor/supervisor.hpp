// SPDX-License-Identifier: Apache-2.0
// The root task's life: start the services of the manifest, restart what dies, spawn and forget domains for
// dom0. One thread, one mailbox; every message is answered in bounded time.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "toolstack/supervisor/domain_builder.hpp"

namespace bulkhead::supervisor {

class Supervisor {
  public:
    // Objects that the supervisor needs for itself; fails with a sentence.
    static std::expected<std::unique_ptr<Supervisor>, std::string> create(Stock& stock);

    // Takes the memory of all services, so that what is left can be given away; then starts them.
    void reserve_services();
    void start_services();
    [[noreturn]] void run();

  private:
    struct Pending {  // a spawn under construction
        uint64_t handle = 0;
        const DomainSpec* spec = nullptr;
        std::string name;
        uint64_t tag = 0;
        SpawnExtras extras;
        std::vector<cap::CapAddr> chunks;
    };
    struct Answer {
        cap::Status status = cap::Status::Ok;
        uint64_t w1 = 0, w2 = 0, w3 = 0;
        unsigned words = 4, caps = 0;  // further words and capabilities are in the IPC buffer already
    };

    explicit Supervisor(Stock& stock) : stock_{stock} {}

    // Messages
    void handle(const cap::IpcResult& message);
    void on_death(Domain& domain, const cap::IpcResult& message);
    void bury(Domain& domain);
    void report_fault(const Domain& domain, const cap::IpcResult& message) const;

    // Services
    bool prepare_memory(Domain& domain);
    void start(uint32_t index);
    void do_what_is_due();
    uint64_t next_due() const;

    // Spawning (spawn.cpp). `label` was checked to be a SpawnCall by nobody: unknown ones are answered with
    // NoSuchCall.
    Answer spawn_call(uint64_t label, const cap::IpcResult& message);
    Answer spawn_begin(const cap::IpcResult& message);
    Answer spawn_memory(uint64_t handle);
    Answer spawn_finish(uint64_t handle);
    Answer spawn_sched(uint64_t tag, uint64_t first);
    Answer spawn_forget(uint64_t tag);
    Answer spawn_restart(const cap::IpcResult& message);
    Answer spawn_kill(const cap::IpcResult& message);
    Answer list_domain(uint64_t index);
    Answer configure(const cap::IpcResult& message);
    Answer control(uint64_t tag);
    void abandon_pending();
    void drop_received();

    Domain* find(uint64_t tag);
    uint32_t new_record();

    Stock& stock_;
    cap::Cap<cap::Reply> reply_;
    std::vector<cap::CapAddr> receive_slots_;
    std::vector<std::unique_ptr<Domain>>
        domains_;  // an index is part of a badge: records move never; nullptr is free
    std::optional<Pending> pending_;
    uint64_t next_handle_ = 1;
};

}  // namespace bulkhead::supervisor
