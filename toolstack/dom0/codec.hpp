// SPDX-License-Identifier: Apache-2.0
// Bytes of the journal: little-endian numbers and counted texts. A Reader never leaves its span: after the
// first thing that does not fit it yields zeroes and ok() stays false.
#pragma once

#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace bulkhead::dom0 {

class Writer {
  public:
    explicit Writer(std::vector<std::byte>& out) : out_{out} {}

    template <typename T>
    void number(T value) {
        static_assert(sizeof(T) <= 8 && (std::is_integral_v<T> || std::is_enum_v<T>));
        raw(&value, sizeof value);
    }
    void text(std::string_view value) {
        number(static_cast<std::uint32_t>(value.size()));
        raw(value.data(), value.size());
    }
    void raw(const void* bytes, std::size_t count) {
        const auto* first = static_cast<const std::byte*>(bytes);
        out_.insert(out_.end(), first, first + count);
    }

  private:
    std::vector<std::byte>& out_;
};

class Reader {
  public:
    explicit Reader(std::span<const std::byte> bytes) : rest_{bytes} {}

    template <typename T>
    T number() {
        T value{};
        raw(&value, sizeof value);
        return value;
    }
    std::string text() {
        const auto size = number<std::uint32_t>();
        if (size > rest_.size()) return ok_ = false, std::string{};
        std::string value(size, '\0');
        raw(value.data(), size);
        return value;
    }
    void raw(void* into, std::size_t count) {
        if (!ok_ || count > rest_.size()) {
            ok_ = false;
            return;
        }
        std::memcpy(into, rest_.data(), count);
        rest_ = rest_.subspan(count);
    }
    // A number of things that take at least `each` bytes: refused when they cannot be there.
    std::uint32_t count(std::size_t each) {
        const auto n = number<std::uint32_t>();
        if (n > rest_.size() / each) return ok_ = false, 0;
        return n;
    }
    bool ok() const { return ok_; }
    bool done() const { return ok_ && rest_.empty(); }

  private:
    std::span<const std::byte> rest_;
    bool ok_ = true;
};

}  // namespace bulkhead::dom0
