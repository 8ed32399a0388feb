// SPDX-License-Identifier: Apache-2.0
// The xenstore stub domain: finds what the last instance left in the kept memory and serves
// "accept-xenstore".
#include <cstdio>
#include <string>

#include "lib/cap/environment.hpp"
#include "services/xenstore-stubdom/channel_service.hpp"

namespace bulkhead::xenstore {
namespace {

int serve(const abi::StartInfo& start) {
    static cap::Environment env{start};
    const abi::NamedCap* accept = cap::find_cap(start, "accept-xenstore");
    const abi::NamedCap* kept = cap::find_cap(start, "store");
    auto hub = ring::Hub::create(env);
    if (!accept || !kept || !hub)
        return cap::log_line(
                   "xenstore: the manifest must grant 'accept-xenstore' and the kept memory 'store'"),
               1;

    const std::span<char> memory{reinterpret_cast<char*>(kept->mapped.base),
                                 kept->mapped.size & ~std::uint64_t{15}};
    MappedArena first{memory.first(memory.size() / 2)}, second{memory.last(memory.size() / 2)};
    Journal journal{first, second};
    Store store{Quota{}, &journal};
    const Recovery recovery = store.start();
    if (!recovery.note.empty()) cap::log_line("xenstore: " + recovery.note);

    ChannelService service{store};
    ring::Listener listener{*hub, cap::address(*accept), service, {.max_clients = 500}};
    service.set_listener(listener);
    for (;;) {
        const cap::Status status = listener.turn(abi::kDeadlineNever);
        if (status != cap::Status::Ok && status != cap::Status::Timeout)
            return cap::log_line(std::string{"xenstore: cannot receive: "} + cap::describe(status)), 1;
        service.send_events();
    }
}

}  // namespace
}  // namespace bulkhead::xenstore

int main() {
    const bulkhead::abi::StartInfo* start = bulkhead::cap::start_info();
    if (!start) {
        std::fputs("xenstore: this program is a stub domain of Bulkhead\n", stderr);
        return 1;
    }
    return bulkhead::xenstore::serve(*start);
}
