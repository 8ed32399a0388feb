// SPDX-License-Identifier: Apache-2.0
// What the store writes down: one record per change, the same kinds in a checkpoint and in the log.
//
//   | u32 size, a multiple of 8 | u16 type | u16 0 | fields ... | zero padding |
//
// Fields are little-endian, packed; a string is a u32 length and its bytes. The reader checks every bound:
// what it reads has a good checksum, which is no reason to believe it.
#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

#include "services/xenstore-stubdom/perms.hpp"

namespace bulkhead::xenstore {

enum class RecordType : std::uint16_t {
    node = 1,       // path, perms, value: create it, or replace perms and value
    value,          // path, value
    perms,          // path, perms
    remove,         // path
    watch,          // session, domid, depth, path as given, token
    unwatch,        // session, path as given, token
    reset_watches,  // session
    introduce,      // domid, gfn, port
    release,        // domid
    target,         // domid, target
    shutdown,       // domid, 0 or 1
    quota,          // index, value
    incarnation,    // number of starts on this memory
};

class RecordWriter {
  public:
    void begin(RecordType type) {
        start_ = bytes_.size();
        put(std::uint32_t{0});
        put(static_cast<std::uint16_t>(type));
        put(std::uint16_t{0});
    }
    template <typename T>
    void put(T value) {
        static_assert(std::is_integral_v<T>);
        append(&value, sizeof value);
    }
    void put_string(std::string_view text) {
        put(static_cast<std::uint32_t>(text.size()));
        append(text.data(), text.size());
    }
    void put_perms(const Perms& perms) {
        put(static_cast<std::uint32_t>(perms.list().size()));
        for (const PermEntry& entry : perms.list()) {
            put(raw(entry.domid));
            put(static_cast<std::uint16_t>(entry.access));
        }
    }
    void end() {
        bytes_.resize((bytes_.size() + 7) & ~std::size_t{7});
        const auto size = static_cast<std::uint32_t>(bytes_.size() - start_);
        std::memcpy(bytes_.data() + start_, &size, sizeof size);
    }
    const std::vector<char>& bytes() const { return bytes_; }
    void clear() { bytes_.clear(); }

  private:
    void append(const void* data, std::size_t size) {
        const char* from = static_cast<const char*>(data);
        bytes_.insert(bytes_.end(), from, from + size);
    }
    std::vector<char> bytes_;
    std::size_t start_ = 0;
};

class RecordReader {
  public:
    explicit RecordReader(std::string_view bytes) : bytes_(bytes) {}

    // Steps to the next record; false at the end or when the framing is bad (`bad()` tells which).
    bool next();
    bool bad() const { return bad_; }
    RecordType type() const { return type_; }

    template <typename T>
    bool get(T& value) {
        if (fields_.size() < sizeof value) return false;
        std::memcpy(&value, fields_.data(), sizeof value);
        fields_.remove_prefix(sizeof value);
        return true;
    }
    bool get_string(std::string_view& text);
    bool get_perms(Perms& perms);
    bool get_domid(DomId& domid);

  private:
    std::string_view bytes_;
    std::string_view fields_;
    RecordType type_{};
    bool bad_ = false;
};

constexpr std::size_t padded(std::size_t size) {
    return (size + 7) & ~std::size_t{7};
}
constexpr std::size_t node_record_size(std::size_t path, std::size_t value, std::size_t perms) {
    return padded(8 + 4 + path + 4 + 4 * perms + 4 + value);
}
constexpr std::size_t watch_record_size(std::size_t path, std::size_t token) {
    return padded(8 + 8 + 2 + 4 + 4 + path + 4 + token);
}

}  // namespace bulkhead::xenstore
