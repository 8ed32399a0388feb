// SPDX-License-Identifier: Apache-2.0
#include "services/vmm-stubdom/xenstore_ring.hpp"

#include <algorithm>
#include <cstring>

namespace bulkhead::vmm {

namespace {

using Interface = xenstore_domain_interface;
constexpr uint32_t kSize = XENSTORE_RING_SIZE;
constexpr std::size_t kReq = offsetof(Interface, req), kRsp = offsetof(Interface, rsp);
constexpr std::size_t kReqCons = offsetof(Interface, req_cons), kReqProd = offsetof(Interface, req_prod);
constexpr std::size_t kRspCons = offsetof(Interface, rsp_cons), kRspProd = offsetof(Interface, rsp_prod);
constexpr std::size_t kError = offsetof(Interface, error);

}  // namespace

uint32_t XenstoreRing::load(std::size_t offset) const {
    return __atomic_load_n(reinterpret_cast<const uint32_t*>(page_ + offset), __ATOMIC_SEQ_CST);
}
void XenstoreRing::store(std::size_t offset, uint32_t value) {
    __atomic_store_n(reinterpret_cast<uint32_t*>(page_ + offset), value, __ATOMIC_SEQ_CST);
}

void XenstoreRing::close(uint32_t error) {
    closed_ = true;
    incoming_.clear();
    outgoing_.clear();
    store(kError, error);
}

bool XenstoreRing::take_requests() {
    bool moved = false;
    while (!closed_) {
        // A whole request waits only when the link had no room for it.
        xsd_sockmsg header{};
        if (incoming_.size() >= sizeof header) {
            std::memcpy(&header, incoming_.data(), sizeof header);
            if (header.len > XENSTORE_PAYLOAD_MAX) {
                close(XENSTORE_ERROR_PROTO);
                return true;
            }
            if (incoming_.size() == sizeof header + header.len) {
                if (outstanding_ >= kMaxOutstanding ||
                    !link_.request(header, std::string_view{incoming_}.substr(sizeof header)))
                    return moved;
                ++outstanding_;
                incoming_.clear();
                continue;
            }
        }
        const uint32_t consumer = load(kReqCons), producer = load(kReqProd);
        if (producer - consumer > kSize) {
            close(XENSTORE_ERROR_RINGIDX);
            return true;
        }
        if (producer == consumer) return moved;
        const std::size_t wanted = incoming_.size() < sizeof header
                                       ? sizeof header - incoming_.size()
                                       : sizeof header + header.len - incoming_.size();
        const uint32_t at = consumer % kSize;
        const auto part =
            static_cast<uint32_t>(std::min<std::size_t>({wanted, producer - consumer, kSize - at}));
        char copy[kSize];
        std::memcpy(copy, page_ + kReq + at, part);
        incoming_.append(copy, part);
        store(kReqCons, consumer + part);
        moved = true;
    }
    return moved;
}

bool XenstoreRing::give_answers() {
    bool moved = false;
    while (!outgoing_.empty()) {
        const uint32_t consumer = load(kRspCons), producer = load(kRspProd);
        const uint32_t used = producer - consumer;
        if (used > kSize) {
            close(XENSTORE_ERROR_RINGIDX);
            return true;
        }
        const uint32_t at = producer % kSize;
        const auto part =
            static_cast<uint32_t>(std::min<std::size_t>({outgoing_.size(), kSize - used, kSize - at}));
        if (part == 0) return moved;
        std::memcpy(page_ + kRsp + at, outgoing_.data(), part);
        store(kRspProd, producer + part);
        outgoing_.erase(0, part);
        moved = true;
    }
    return moved;
}

bool XenstoreRing::pump() {
    if (closed_) return false;
    const bool out = give_answers(), in = take_requests();
    return out || in;
}

void XenstoreRing::append(const xsd_sockmsg& header, std::string_view payload) {
    outgoing_.append(reinterpret_cast<const char*>(&header), sizeof header);
    outgoing_.append(payload);
}

void XenstoreRing::reply(const xsd_sockmsg& header, std::string_view payload) {
    if (closed_ || outstanding_ == 0) return;
    --outstanding_;
    xsd_sockmsg h = header;
    h.len = static_cast<uint32_t>(std::min<std::size_t>(payload.size(), XENSTORE_PAYLOAD_MAX));
    append(h, payload.substr(0, h.len));
}

bool XenstoreRing::event(std::string_view path, std::string_view token) {
    if (closed_) return true;
    const std::size_t length = path.size() + token.size() + 2;
    if (length > XENSTORE_PAYLOAD_MAX) return true;  // cannot be told to any guest
    if (outgoing_.size() + length + sizeof(xsd_sockmsg) > kMostQueued) return false;
    std::string payload;
    payload.append(path).push_back('\0');
    payload.append(token).push_back('\0');
    append({XS_WATCH_EVENT, 0, 0, static_cast<uint32_t>(length)}, payload);
    return true;
}

}  // namespace bulkhead::vmm
