// SPDX-License-Identifier: Apache-2.0
#include "test/guests/bench/store.hpp"

namespace bulkhead::guest {

namespace {
size_t length(const char* s) {
    size_t n = 0;
    while (s[n]) ++n;
    return n;
}
bool same(const char* a, const char* b, size_t bytes) {
    for (size_t i = 0; i < bytes; ++i)
        if (a[i] != b[i]) return false;
    return true;
}
}  // namespace

Store::Store(const Xen& xen) : xen_{xen} {
    const uint64_t page = xen.parameter(HVM_PARAM_STORE_PFN);
    port_ = static_cast<uint32_t>(xen.parameter(HVM_PARAM_STORE_EVTCHN));
    if (page != 0 && page < (1 << 20))
        ring_ = reinterpret_cast<volatile xenstore_domain_interface*>(page << 12);
}

void Store::put(const void* from, size_t bytes) {
    const char* at = static_cast<const char*>(from);
    while (bytes != 0) {
        const uint32_t producer = ring_->req_prod;
        const uint32_t room = XENSTORE_RING_SIZE - (producer - ring_->req_cons);
        if (room == 0) {
            asm volatile("pause");
            continue;
        }
        const uint32_t now = room < bytes ? room : static_cast<uint32_t>(bytes);
        for (uint32_t i = 0; i < now; ++i) ring_->req[MASK_XENSTORE_IDX(producer + i)] = at[i];
        asm volatile("" ::: "memory");
        ring_->req_prod = producer + now;
        at += now;
        bytes -= now;
    }
}

void Store::take(void* to, size_t bytes) {
    char* at = static_cast<char*>(to);
    while (bytes != 0) {
        const uint32_t consumer = ring_->rsp_cons;
        const uint32_t there = ring_->rsp_prod - consumer;
        if (there == 0) {
            asm volatile("pause");
            continue;
        }
        const uint32_t now = there < bytes ? there : static_cast<uint32_t>(bytes);
        for (uint32_t i = 0; i < now; ++i) at[i] = ring_->rsp[MASK_XENSTORE_IDX(consumer + i)];
        asm volatile("" ::: "memory");
        ring_->rsp_cons = consumer + now;
        at += now;
        bytes -= now;
    }
}

bool Store::request(uint32_t type, uint32_t transaction, const char* a, size_t a_length, const char* b,
                    size_t b_length) {
    const xsd_sockmsg header{type, ++id_, transaction, static_cast<uint32_t>(a_length + b_length)};
    put(&header, sizeof header);
    put(a, a_length);
    put(b, b_length);
    xen_.notify(port_);
    for (;;) {
        xsd_sockmsg reply;
        take(&reply, sizeof reply);
        if (reply.len > XENSTORE_PAYLOAD_MAX) return false;
        take(answer_, reply.len);
        if (reply.req_id != id_) continue;  // a watch event, or an answer to nobody
        length_ = reply.len;
        answer_[length_] = 0;
        return reply.type == type;
    }
}

bool Store::write(uint32_t transaction, const char* path, const char* value) {
    return request(XS_WRITE, transaction, path, length(path) + 1, value, length(value));
}

bool Store::read(uint32_t transaction, const char* path, const char* expected) {
    return request(XS_READ, transaction, path, length(path) + 1, nullptr, 0) && length_ == length(expected) &&
           same(answer_, expected, length_);
}

bool Store::start(uint32_t& transaction) {
    if (!request(XS_TRANSACTION_START, 0, "", 1, nullptr, 0)) return false;
    transaction = 0;
    for (const char* digit = answer_; *digit >= '0' && *digit <= '9'; ++digit)
        transaction = transaction * 10 + static_cast<uint32_t>(*digit - '0');
    return true;
}

bool Store::end(uint32_t transaction) {
    return request(XS_TRANSACTION_END, transaction, "T", 2, nullptr, 0);
}

}  // namespace bulkhead::guest
