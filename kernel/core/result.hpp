// SPDX-License-Identifier: Apache-2.0
// A value or a Status; cannot be ignored. No exceptions, no allocation.
#pragma once

#include "abi/types.hpp"

namespace bulkhead::core {

using abi::Status;

template <typename T>
class [[nodiscard]] Result {
  public:
    constexpr Result(T value) : value_{value} {}
    constexpr Result(Status status) : status_{status} {}

    constexpr bool ok() const { return status_ == Status::Ok; }
    constexpr explicit operator bool() const { return ok(); }
    constexpr Status status() const { return status_; }
    constexpr T operator*() const { return value_; }
    constexpr T operator->() const requires requires(T t) { *t; }
    { return value_; }

  private:
    T value_{};
    Status status_ = Status::Ok;
};

}  // namespace bulkhead::core
