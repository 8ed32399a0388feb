// SPDX-License-Identifier: Apache-2.0
#include "boot/config/config.hpp"

#include "boot/config/text.hpp"

namespace bulkhead::boot {
namespace {

struct Line {
    enum Kind { Empty, Section, Setting, Bad } kind = Empty;
    std::string_view key, value;
};

// As in Xen, `#` begins a comment wherever it stands, `;` only at the beginning of a line.
Line classify(std::string_view raw) {
    const std::string_view text = trim(take(raw, '#'));
    if (text.empty() || text.front() == ';') return {};
    if (text.front() == '[') {
        std::string_view name = text;
        name.remove_prefix(1);
        if (name.empty() || name.back() != ']') return {Line::Bad, text, {}};
        name.remove_suffix(1);
        name = trim(name);
        return name.empty() ? Line{Line::Bad, text, {}} : Line{Line::Section, name, {}};
    }
    std::string_view rest = text;
    const std::string_view key = take(rest, '=');
    if (key.size() == text.size()) return {Line::Bad, text, {}};
    return {Line::Setting, trim(key), trim(rest)};
}

constexpr ConfigError error(uint32_t line, const char* message, std::string_view word = {}) {
    return {line, message, word};
}
constexpr ConfigError kNone = {0, nullptr, {}};

ConfigError check_encoding(std::string_view text) {
    const auto starts = [&](std::string_view bytes) { return text.substr(0, bytes.size()) == bytes; };
    if (starts("\xef\xbb\xbf"))
        return error(1, "the file starts with a UTF-8 byte-order mark; save it as plain ASCII");
    if (starts("\xff\xfe") || starts("\xfe\xff"))
        return error(1, "the file is UTF-16; save it as plain ASCII");
    if (text.size() > kMaxConfigBytes) return error(0, "the file is larger than 64 KiB");
    uint32_t number = 1;
    for (const char c : text) {
        if (c == '\n')
            number++;
        else if (!is_blank(c) && (c < 0x20 || c > 0x7e))
            return error(number,
                         "the file must be plain ASCII (not UTF-8, not UTF-16); there is another character");
    }
    return kNone;
}

class Parser {
  public:
    Parser(std::string_view text, std::string_view section) : text_{text} { config.section = section; }

    // The first pass: what [global] says, and that every line means something.
    ConfigError read_global() {
        std::string_view rest = text_, current;
        uint32_t headers = 0;
        for (uint32_t number = 1; !rest.empty(); number++) {
            const Line line = classify(take(rest, '\n'));
            if (line.kind == Line::Bad)
                return error(number, "expected [section], key=value or a comment, found", line.key);
            if (line.kind == Line::Section) {
                current = line.key;
                headers++;
            }
            if (line.kind != Line::Setting) continue;
            if (line.key == "kernel" && kernel_under_ == kNowhere) kernel_under_ = headers;
            if (current != "global") continue;
            if (line.key == "default") {
                if (config.section.empty()) config.section = line.value;
            } else if (line.key == "chain") {
                if (line.value.empty()) return error(number, "a file name is missing after", line.key);
                chain = line.value;
            } else if (const ConfigError problem = set_default(line, number); problem.message) {
                return problem;
            }
        }
        return kNone;
    }

    // The second pass: the section's lines, or all of them.
    ConfigError read_section() {
        const bool all = config.section.empty();
        std::string_view rest = text_, current;
        bool inside = all, found = all;
        uint32_t headers = 0;
        for (uint32_t number = 1; !rest.empty(); number++) {
            const Line line = classify(take(rest, '\n'));
            if (line.kind == Line::Section) {
                current = line.key;
                inside = (all || current == config.section) && current != "global";
                if (inside && !all && found) return error(number, "the section appears twice:", current);
                found |= inside;
                headers++;
            }
            if (line.kind != Line::Setting) continue;
            if (!all && current.empty())
                return error(number, "a setting stands before the first [section]:", line.key);
            if (!inside ||
                (all && line.key == "module" && kernel_under_ != kNowhere && headers != kernel_under_))
                continue;
            if (const ConfigError problem = set(line, number, all); problem.message) return problem;
        }
        if (!found) {
            missing = true;
            return error(0, "there is no section named", config.section);
        }
        return kNone;
    }

    void take_defaults() {
        FileLine* const from[] = {&default_.options, &default_.dtb, &default_.ucode, &default_.video};
        FileLine* const to[] = {&config.options, &config.dtb, &config.ucode, &config.video};
        for (size_t i = 0; i < 4; i++)
            if (to[i]->line == 0) *to[i] = *from[i];
    }

    Config config;
    std::string_view chain;
    bool missing = false;  // the section, or its kernel= line: chain= may help

  private:
    static FileLine* field(Config& of, std::string_view key) {
        if (key == "options") return &of.options;
        if (key == "kernel") return &of.kernel;
        if (key == "ramdisk") return &of.ramdisk;
        if (key == "dtb") return &of.dtb;
        if (key == "ucode") return &of.ucode;
        if (key == "video") return &of.video;
        return nullptr;
    }

    ConfigError fill(FileLine& line, std::string_view key, std::string_view value, uint32_t number) {
        line = {value, {}, number};
        if (key == "options" || key == "video") return kNone;
        if (value.empty()) return error(number, "a file name is missing after", key);
        line.file = take_word(value);
        line.arguments = trim(value);
        if (key == "kernel" || key == "module" || line.arguments.empty()) return kNone;
        return error(number, "there is more than one file name:", line.arguments);
    }

    ConfigError set_default(const Line& line, uint32_t number) {
        if (line.key == "options" || line.key == "dtb" || line.key == "ucode" || line.key == "video")
            return fill(*field(default_, line.key), line.key, line.value, number);
        return error(
            number, "unknown key in [global] (known: default, chain, options, ucode, video, dtb):", line.key);
    }

    ConfigError set(const Line& line, uint32_t number, bool all) {
        if (line.key == "module") {
            if (config.modules == kMaxModules) return error(number, "there are more than 13 module= lines");
            return fill(config.module[config.modules++], line.key, line.value, number);
        }
        if (line.key == "xsm")
            return error(number,
                         "xsm= has no meaning here: who may do what is written in the manifest (dtb=); "
                         "remove the line");
        FileLine* const to = field(config, line.key);
        if (!to)
            return error(number, "unknown key (known: options, kernel, ramdisk, module, ucode, video, dtb):",
                         line.key);
        if (to->line == 0) return fill(*to, line.key, line.value, number);
        return all ? kNone : error(number, "the key appears twice in its section:", line.key);
    }

    std::string_view text_;
    Config default_;
    static constexpr uint32_t kNowhere = ~uint32_t{0};
    uint32_t kernel_under_ = kNowhere;  // which header the first kernel= stands under, counted from 1
};

}  // namespace

ConfigResult parse_config(std::string_view text, std::string_view section, bool kernel_embedded) {
    Parser parser{text, section};
    ConfigError problem = check_encoding(text);
    if (!problem.message) problem = parser.read_global();
    if (!problem.message) problem = parser.read_section();
    if (!problem.message && parser.config.kernel.file.empty() && !kernel_embedded) {
        parser.missing = true;
        problem = parser.config.section.empty()
                      ? error(0, "there is no kernel= line")
                      : error(0, "the section has no kernel= line:", parser.config.section);
    }
    if (problem.message) {
        Config only_section;
        only_section.section = parser.config.section;
        return {false, only_section, problem, parser.missing ? parser.chain : std::string_view{}};
    }
    parser.take_defaults();
    return {true, parser.config, kNone, {}};
}

}  // namespace bulkhead::boot
