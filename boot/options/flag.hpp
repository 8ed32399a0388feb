// SPDX-License-Identifier: Apache-2.0
// A boolean option on the boot command line, by Xen's rules (xen-command-line, "boolean"): NAME,
// NAME=on|yes|true|enable|1, NAME=off|no|false|disable|0, no-NAME. The last one counts. Freestanding, no
// allocation.
#pragma once

namespace bulkhead::boot {

namespace flag {

constexpr bool ends_word(char c) {
    return c == ' ' || c == '\0';
}

// Where `text` goes on behind `word`, or nullptr.
constexpr const char* after(const char* text, const char* word) {
    for (; *word != '\0'; ++word, ++text)
        if (*text != *word) return nullptr;
    return text;
}

constexpr bool is_one_of(const char* text, const char* const (&words)[5]) {
    for (const char* word : words)
        if (const char* end = after(text, word); end != nullptr && ends_word(*end)) return true;
    return false;
}

}  // namespace flag

constexpr bool option_flag(const char* options, const char* name, bool otherwise = false) {
    constexpr const char* kOn[] = {"on", "yes", "true", "enable", "1"};
    constexpr const char* kOff[] = {"off", "no", "false", "disable", "0"};
    bool value = otherwise;
    for (const char* at = options; *at != '\0';) {
        const char* negated = flag::after(at, "no-");
        const char* rest = flag::after(negated != nullptr ? negated : at, name);
        const bool yes = negated == nullptr;
        if (rest != nullptr && flag::ends_word(*rest)) value = yes;
        if (rest != nullptr && *rest == '=') {
            if (flag::is_one_of(rest + 1, kOn)) value = yes;
            if (flag::is_one_of(rest + 1, kOff)) value = !yes;
        }
        while (!flag::ends_word(*at)) ++at;
        while (*at == ' ') ++at;
    }
    return value;
}

}  // namespace bulkhead::boot
