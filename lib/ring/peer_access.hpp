// SPDX-License-Identifier: Apache-2.0
// The only two ways to read memory that a peer may take away. A fault inside them continues at their landing
// and returns false: their code is the thread's fix-up range. Each address is read exactly once. Thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>

extern "C" {
// 0: fine; 1: the memory is not there.
int bulkhead_peer_load(const void* word, uint64_t* out);
int bulkhead_peer_copy(void* to, const void* from, size_t words);
// The fix-up range and where a fault in it continues.
extern const char bulkhead_peer_access_start[], bulkhead_peer_access_end[], bulkhead_peer_access_landing[];
}

namespace bulkhead::ring {

[[nodiscard]] inline bool load_index(const void* word, uint64_t& out) {
    return bulkhead_peer_load(word, &out) == 0;
}
[[nodiscard]] inline bool copy_in(void* to, const void* from, size_t words) {
    return bulkhead_peer_copy(to, from, words) == 0;
}

// Stub domains: registers the range for all threads of this domain. Called by Hub; harmless when repeated.
bool register_peer_access();

}  // namespace bulkhead::ring
