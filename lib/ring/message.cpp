// SPDX-License-Identifier: Apache-2.0
#include "lib/ring/message.hpp"

#include <kj/debug.h>

namespace bulkhead::ring {

kj::ArrayPtr<capnp::word> OneSegmentBuilder::allocateSegment(unsigned minimum) {
    KJ_REQUIRE(!given_ && minimum <= words_.size(), "the message does not fit");
    given_ = true;
    return {reinterpret_cast<capnp::word*>(words_.data()), words_.size()};
}

size_t OneSegmentBuilder::used_words() {
    const auto segments = getSegmentsForOutput();
    return segments.size() == 1 ? segments[0].size() : 0;
}

capnp::ReaderOptions reader_options(size_t words) {
    capnp::ReaderOptions options;
    options.traversalLimitInWords = 4 * words + 64;  // honest handlers read a field a few times
    options.nestingLimit = 8;
    return options;
}

}  // namespace bulkhead::ring
