// SPDX-License-Identifier: Apache-2.0
// The error value of the tool stack: what kind of failure, for the caller's decision, and one sentence, for
// the person.
#pragma once

#include <expected>
#include <string>
#include <utility>

namespace bulkhead::xl {

enum class ErrorKind {
    NotFound,     // the domain, node or file does not exist
    Exists,       // the name is taken
    Denied,       // permission refused
    Again,        // a transaction lost a race; start it again
    Invalid,      // the request makes no sense
    NoSpace,      // memory or quota exhausted
    Unsupported,  // Bulkhead or the guest cannot do this
    Gone,         // the service or domain died during the request
    Other,
};

struct Error {
    ErrorKind kind = ErrorKind::Other;
    std::string sentence;  // without trailing newline
};

template <typename T>
using Result = std::expected<T, Error>;

inline std::unexpected<Error> fail(ErrorKind kind, std::string sentence) {
    return std::unexpected(Error{kind, std::move(sentence)});
}

}  // namespace bulkhead::xl
