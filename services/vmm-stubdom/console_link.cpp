// SPDX-License-Identifier: Apache-2.0
#include "services/vmm-stubdom/console_link.hpp"

#include <algorithm>

#include "lib/ring/message.hpp"
#include "schema/console.capnp.h"

namespace bulkhead::vmm {

namespace {
using schema::console::FromDomain;
using schema::console::ToDomain;
constexpr std::size_t kMostBytes = 1024;  // of one message
}  // namespace

cap::Status ConsoleLink::connect(const std::string& name) {
    name_ = name;
    const cap::Status status = connection_.connect();
    if (status == cap::Status::Ok)
        ring::send<FromDomain>(connection_.channel(), 8 + name.size() / 8,
                               [&](auto m) { m.setHello(name_.c_str()); });
    return status;
}

std::size_t ConsoleLink::write(std::string_view text) {
    if (!connection_.connected()) return 0;
    std::size_t taken = 0;
    while (taken < text.size()) {
        const std::string_view part = text.substr(taken, kMostBytes);
        const ring::Io io = ring::send<FromDomain>(connection_.channel(), 8 + part.size() / 8, [&](auto m) {
            m.setOutput(capnp::Data::Reader{reinterpret_cast<const kj::byte*>(part.data()), part.size()});
        });
        if (io != ring::Io::Ok) break;
        taken += part.size();
    }
    return taken;
}

void ConsoleLink::poll(ConsoleRing* guest) {
    if (connection_.lost() && connect(name_) != cap::Status::Ok) return;
    if (!connection_.connected()) return;
    do {
        while (ring::receive<ToDomain>(connection_.channel(), [&](auto m) {
                   if (!m.isInput() || !guest) return true;
                   const auto bytes = m.getInput();
                   guest->queue_input({reinterpret_cast<const char*>(bytes.begin()), bytes.size()});
                   return true;
               }) == ring::Io::Ok) {
        }
    } while (connection_.connected() && !connection_.channel().arm());
}

}  // namespace bulkhead::vmm
