// SPDX-License-Identifier: Apache-2.0
// The guest's xenstore ring (xen/io/xs_wire.h), ended here: frames requests out of it, streams replies and
// watch events into it. The page is the guest's. Whatever breaks the protocol (a payload over 4096 bytes,
// impossible indices) closes the connection for good: the guest's xenstore stops, nobody else notices. Owned
// by the I/O thread.
//
// At most kMaxOutstanding requests are with the service; then the guest waits on its own ring. Answers and
// events that the guest does not read are queued up to a bound; beyond it, events are refused (the service
// keeps them).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "services/vmm-stubdom/xen_abi.hpp"

namespace bulkhead::vmm {

class XenstoreLink {
  public:
    virtual ~XenstoreLink() = default;
    // False: no room now; offered again at the next pump().
    virtual bool request(const xsd_sockmsg& header, std::string_view payload) = 0;
};

class XenstoreRing {
  public:
    static constexpr unsigned kMaxOutstanding = 20;
    static constexpr std::size_t kMostQueued = 64 << 10;

    XenstoreRing(std::byte* page, XenstoreLink& link) : page_{page}, link_{link} {}

    bool pump();  // true: indices changed, notify the guest
    // From the service. reply() is one per request and always taken; event() may refuse.
    void reply(const xsd_sockmsg& header, std::string_view payload);
    bool event(std::string_view path, std::string_view token);
    bool closed() const { return closed_; }
    unsigned outstanding() const { return outstanding_; }

  private:
    bool take_requests();
    bool give_answers();
    void append(const xsd_sockmsg& header, std::string_view payload);
    void close(uint32_t error);
    uint32_t load(std::size_t offset) const;
    void store(std::size_t offset, uint32_t value);

    std::byte* page_;
    XenstoreLink& link_;
    std::string incoming_;  // the request being read: header, then payload
    std::string outgoing_;  // not yet in the ring
    unsigned outstanding_ = 0;
    bool closed_ = false;
};

}  // namespace bulkhead::vmm
