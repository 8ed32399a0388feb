// SPDX-License-Identifier: Apache-2.0
#include "services/xenstore-stubdom/perms.hpp"

#include <charconv>

namespace bulkhead::xenstore {

Perms Perms::owned_by(DomId domid) const {
    if (owner() == domid) return *this;
    PermList copy = list();
    copy.front().domid = domid;
    return Perms(std::move(copy));
}

Access access_of(const Subject& subject, const Perms& perms) {
    const auto is_subject = [&](DomId id) {
        return id == subject.domid || (subject.has_target && id == subject.target);
    };
    const PermList& list = perms.list();
    if (subject.all_nodes || is_subject(list.front().domid)) return Access::owner;
    for (std::size_t i = 1; i < list.size(); ++i)
        if (is_subject(list[i].domid)) return list[i].access;
    return list.front().access;
}

bool parse_domid(std::string_view text, DomId& domid) {
    std::uint16_t value = 0;
    const char* end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, value);
    if (error != std::errc{} || stop != end) return false;
    domid = DomId{value};
    return true;
}

bool parse_perm(std::string_view text, PermEntry& entry) {
    if (text.size() < 2) return false;
    switch (text.front()) {
        case 'n': entry.access = Access::none; break;
        case 'r': entry.access = Access::read; break;
        case 'w': entry.access = Access::write; break;
        case 'b': entry.access = Access::both; break;
        default: return false;
    }
    return parse_domid(text.substr(1), entry.domid);
}

void append_perm(const PermEntry& entry, std::string& out) {
    out += "nrwb"[static_cast<unsigned>(entry.access) & 3];
    char digits[8];
    const auto result = std::to_chars(digits, digits + sizeof digits, raw(entry.domid));
    out.append(digits, result.ptr);
}

}  // namespace bulkhead::xenstore
