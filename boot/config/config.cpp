// SPDX-License-Identifier: Apache-2.0
#include "boot/config/config.hpp"

namespace bulkhead::boot {
namespace {

constexpr bool is_blank(char c) {
    return c == ' ' || c == '\t' || c == '\r';
}

std::string_view trim(std::string_view text) {
    while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
    while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
    return text;
}

// Takes what stands before `separator` off the front of `text`; all of it when there is none.
std::string_view take(std::string_view& text, char separator) {
    size_t at = 0;
    while (at < text.size() && text[at] != separator) at++;
    const std::string_view taken{text.data(), at};
    text.remove_prefix(at < text.size() ? at + 1 : at);
    return taken;
}

struct Line {
    enum Kind { Empty, Section, Setting, Bad } kind = Empty;
    std::string_view key, value;
};

Line classify(std::string_view raw) {
    const std::string_view text = trim(raw);
    if (text.empty() || text.front() == '#' || text.front() == ';') return {};
    if (text.front() == '[') {
        std::string_view name = text;
        name.remove_prefix(1);
        if (name.empty() || name.back() != ']') return {Line::Bad, text, {}};
        name.remove_suffix(1);
        return {name.empty() ? Line::Bad : Line::Section, trim(name), {}};
    }
    std::string_view rest = text;
    const std::string_view key = take(rest, '=');
    if (key.size() == text.size()) return {Line::Bad, text, {}};
    return {Line::Setting, trim(key), trim(rest)};
}

FileLine file_line(std::string_view value, uint32_t line) {
    size_t at = 0;
    while (at < value.size() && !is_blank(value[at])) at++;
    FileLine out{{value.data(), at}, {}, line};
    value.remove_prefix(at);
    out.arguments = trim(value);
    return out;
}

ConfigResult fail(uint32_t line, const char* message, std::string_view word = {}) {
    return {false, {}, {line, message, word}};
}

// First pass: the section to use, and that every line means something.
ConfigResult choose_section(std::string_view text, std::string_view wanted) {
    ConfigResult result{true, {}, {}};
    std::string_view first, fallback, current;
    bool found = false;
    for (uint32_t number = 1; !text.empty(); number++) {
        const Line line = classify(take(text, '\n'));
        if (line.kind == Line::Bad)
            return fail(number, "expected [section], key=value or a comment, found", line.key);
        if (line.kind == Line::Section) {
            current = line.key;
            if (current != "global" && first.empty()) first = current;
            found |= !wanted.empty() && current == wanted && current != "global";
        }
        if (line.kind != Line::Setting) continue;
        if (current.empty()) return fail(number, "a setting stands before the first [section]:", line.key);
        if (current != "global") continue;
        if (line.key != "default") return fail(number, "unknown key in [global] (known: default):", line.key);
        fallback = line.value;
    }
    result.config.section = !wanted.empty() ? wanted : !fallback.empty() ? fallback : first;
    if (result.config.section.empty()) return fail(0, "there is no section besides [global]");
    if (!wanted.empty() && !found) return fail(0, "there is no section named", wanted);
    return result;
}

}  // namespace

ConfigResult parse_config(std::string_view text, std::string_view section) {
    if (text.size() > kMaxConfigBytes) return fail(0, "the file is larger than 64 KiB");
    if (text.size() >= 3 && text[0] == '\xef' && text[1] == '\xbb' && text[2] == '\xbf')
        return fail(1, "the file starts with a UTF-8 byte-order mark; save it as plain ASCII");
    if (text.size() >= 2 &&
        ((text[0] == '\xff' && text[1] == '\xfe') || (text[0] == '\xfe' && text[1] == '\xff')))
        return fail(1, "the file is UTF-16; save it as plain ASCII");
    for (size_t at = 0, number = 1; at < text.size(); at++) {
        const char c = text[at];
        if (c == '\n')
            number++;
        else if (!is_blank(c) && (c < 0x20 || c > 0x7e))
            return fail(static_cast<uint32_t>(number),
                        "the file must be plain ASCII; there is another character");
    }
    ConfigResult result = choose_section(text, section);
    if (!result.ok) return result;

    Config& config = result.config;
    bool inside = false, found = false;
    for (uint32_t number = 1; !text.empty(); number++) {
        const Line line = classify(take(text, '\n'));
        if (line.kind == Line::Section) {
            inside = line.key == config.section;
            if (inside && found) return fail(number, "the section appears twice:", line.key);
            found |= inside;
        }
        if (line.kind != Line::Setting || !inside) continue;
        if (line.key == "options")
            config.options = line.value;
        else if (line.key == "kernel" || line.key == "ramdisk" || line.key == "module") {
            if (line.value.empty()) return fail(number, "a file name is missing after", line.key);
            const FileLine entry = file_line(line.value, number);
            FileLine* const single = line.key == "kernel"    ? &config.kernel
                                     : line.key == "ramdisk" ? &config.ramdisk
                                                             : nullptr;
            if (single && !single->file.empty())
                return fail(number, "the key appears twice in its section:", line.key);
            if (!single && config.modules == kMaxModules)
                return fail(number, "there are more than 14 module= lines");
            (single ? *single : config.module[config.modules++]) = entry;
        } else {
            return fail(number, "unknown key (known: options, kernel, ramdisk, module):", line.key);
        }
    }
    if (!found) return fail(0, "there is no section named", config.section);
    if (config.kernel.file.empty()) return fail(0, "the section has no kernel= line:", config.section);
    return result;
}

}  // namespace bulkhead::boot
