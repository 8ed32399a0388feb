// SPDX-License-Identifier: Apache-2.0
// The VMM stub domain. Its main thread is the I/O thread: it owns all doorbells. With "accept-control" it
// waits for dom0's orders; without, it is *standalone*: it starts the kernel and ramdisk that it was given at
// once (first bring-up, benchmarks), and prints the guest's console into the log unless it has a console
// service.
#include <optional>
#include <string>

#include "lib/cap/environment.hpp"
#include "services/vmm-stubdom/console_link.hpp"
#include "services/vmm-stubdom/control_service.hpp"
#include "services/vmm-stubdom/standalone.hpp"
#include "services/vmm-stubdom/store_link.hpp"

namespace bulkhead::vmm {

namespace {

class Server {
  public:
    Server(cap::Environment& env, ring::Hub& hub, cap::CapAddr wake)
        : env_{env}, hub_{hub}, control_{env, [this, wake](GuestConfig config) {
                                             return build(std::move(config), wake);
                                         }} {}

    int serve(cap::CapAddr accept) {
        // Big enough for dom0 to send a kernel in few pieces.
        ring::Listener listener{hub_, accept, control_, {.max_clients = 4, .max_pool_bits = 21}};
        for (;;) {
            const cap::Status status = listener.turn(abi::kDeadlineNever);
            if (status != cap::Status::Ok && status != cap::Status::Timeout)
                return cap::log_line(std::string{"vmm: cannot receive: "} + cap::describe(status)), 1;
            pump();
        }
    }

  private:
    std::expected<std::unique_ptr<Guest>, std::string> build(GuestConfig config, cap::CapAddr wake) {
        const abi::NamedCap* console = cap::find_cap(env_.start, "connect-console");
        const abi::NamedCap* store = cap::find_cap(env_.start, "connect-xenstore");
        if (!console || !store)
            return std::unexpected{
                std::string{"vmm: the manifest's template must connect it to console and xenstore"}};
        console_.emplace(hub_, cap::address(*console));
        store_.emplace(hub_, cap::address(*store));
        if (const auto status = console_->connect(config.vm.name); status != cap::Status::Ok)
            return std::unexpected{std::string{"vmm: cannot connect to the console service: "} +
                                   cap::describe(status)};
        if (const auto status = store_->connect(); status != cap::Status::Ok)
            return std::unexpected{std::string{"vmm: cannot connect to xenstore: "} + cap::describe(status)};
        return Guest::build(env_, std::move(config), *console_, *store_, wake);
    }

    void pump() {
        Guest* guest = control_.guest();
        if (console_) console_->poll(guest ? &guest->console() : nullptr);
        if (store_) store_->poll(guest ? &guest->store() : nullptr);
        if (!guest) return;
        guest->pump();
        if (guest->take_change()) control_.tell_change();
    }

    cap::Environment& env_;
    ring::Hub& hub_;
    std::optional<ConsoleLink> console_;
    std::optional<StoreLink> store_;
    ControlService control_;
};

int run(const abi::StartInfo& start) {
    static cap::Environment env{start};
    auto hub = ring::Hub::create(env);
    const auto bit = hub ? hub->take_bit() : std::nullopt;
    if (!bit) return cap::log_line("vmm: cannot make its notification"), 1;
    auto wake = hub->mint(*bit);
    if (!wake) return cap::log_line("vmm: cannot mint its notification"), 1;
    const abi::NamedCap* accept = cap::find_cap(start, "accept-control");
    if (!accept) return run_standalone(env, *hub, wake->address());
    static Server server{env, *hub, wake->address()};
    return server.serve(cap::address(*accept));
}

}  // namespace

}  // namespace bulkhead::vmm

int main() {
    const bulkhead::abi::StartInfo* start = bulkhead::cap::start_info();
    return start ? bulkhead::vmm::run(*start) : 1;
}
