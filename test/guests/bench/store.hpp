// SPDX-License-Identifier: Apache-2.0
// A client of the guest's own xenstore ring, one request at a time. It spins for the answer: whoever serves
// it has a higher priority, so on one CPU the time that passes is the time that serving takes.
#pragma once

#include "test/guests/bench/xen.hpp"

namespace bulkhead::guest {

class Store {
  public:
    explicit Store(const Xen& xen);
    bool present() const { return ring_ != nullptr; }

    // Each: whether the answer was as it should be.
    bool write(uint32_t transaction, const char* path, const char* value);
    bool read(uint32_t transaction, const char* path, const char* expected);
    bool start(uint32_t& transaction);
    bool end(uint32_t transaction);

  private:
    bool request(uint32_t type, uint32_t transaction, const char* a, size_t a_length, const char* b,
                 size_t b_length);
    void put(const void* from, size_t bytes);
    void take(void* to, size_t bytes);

    const Xen& xen_;
    volatile xenstore_domain_interface* ring_ = nullptr;
    uint32_t port_ = 0, id_ = 0;
    char answer_[XENSTORE_PAYLOAD_MAX + 1];
    uint32_t length_ = 0;
};

}  // namespace bulkhead::guest
