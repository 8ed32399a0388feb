// SPDX-License-Identifier: Apache-2.0
#include "services/xenstore-stubdom/records.hpp"

namespace bulkhead::xenstore {

bool RecordReader::next() {
    if (bytes_.empty()) return false;
    std::uint32_t size = 0;
    std::uint16_t type = 0;
    if (bytes_.size() < 8) return bad_ = true, false;
    std::memcpy(&size, bytes_.data(), sizeof size);
    std::memcpy(&type, bytes_.data() + 4, sizeof type);
    if (size < 8 || size % 8 != 0 || size > bytes_.size()) return bad_ = true, false;
    type_ = RecordType{type};
    fields_ = bytes_.substr(8, size - 8);
    bytes_.remove_prefix(size);
    return true;
}

bool RecordReader::get_string(std::string_view& text) {
    std::uint32_t size = 0;
    if (!get(size) || size > fields_.size()) return false;
    text = fields_.substr(0, size);
    fields_.remove_prefix(size);
    return true;
}

bool RecordReader::get_domid(DomId& domid) {
    std::uint16_t value = 0;
    if (!get(value)) return false;
    domid = DomId{value};
    return true;
}

bool RecordReader::get_perms(Perms& perms) {
    std::uint32_t count = 0;
    if (!get(count) || count == 0 || count > fields_.size() / 4) return false;
    PermList list(count);
    for (PermEntry& entry : list) {
        std::uint16_t access = 0;
        if (!get_domid(entry.domid) || !get(access)) return false;
        entry.access = static_cast<Access>(access & 3);
    }
    perms = Perms(std::move(list));
    return true;
}

}  // namespace bulkhead::xenstore
