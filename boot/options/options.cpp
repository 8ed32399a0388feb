// SPDX-License-Identifier: Apache-2.0
#include "boot/options/options.hpp"

#include "boot/options/handlers.hpp"

namespace bulkhead::boot {
namespace {

constexpr uint64_t kLeastLog = 16 << 10, kMostLog = 16 << 20;

template <uint8_t abi::BootOptions::*Member>
void flag(const Word& word) {
    if (const auto chosen = word.boolean()) word.options.*Member = *chosen ? 1 : 0;
}

template <uint32_t abi::BootOptions::*Member>
void level(const Word& word) {
    constexpr std::string_view kNames[] = {"none", "error", "warning", "info", "debug", "all"};
    std::string_view rest = word.value;
    uint32_t shown = 0;
    for (unsigned parts = 0; parts == 0 || !rest.empty(); ++parts) {
        const std::string_view name = text::take(rest, '/');
        uint32_t index = 0;
        while (index < 6 && name != kNames[index]) ++index;
        if (index == 6 || parts == 2)
            return word.malformed(word.value,
                                  "LEVEL or LEVEL/LEVEL of none, error, warning, info, debug, all");
        if (index > 4) index = 4;
        if (index > shown) shown = index;
    }
    word.options.*Member = shown;
}

void conring_size(const Word& word) {
    const auto bytes = text::size(word.value);
    if (!bytes || *bytes > kMostLog) return word.malformed(word.value, "a size up to 16M, as 64k");
    uint64_t size = kLeastLog;
    while (size < *bytes) size *= 2;
    word.options.conring_size = size;
}

void mem(const Word& word) {
    const auto bytes = text::size(word.value);
    if (!bytes || *bytes == 0) return word.malformed(word.value, "a size, as 2G or 512M");
    word.options.mem = *bytes;
}

void maxcpus(const Word& word) {
    const auto count = text::natural(word.value, 1, 1u << 20);
    if (!count) return word.malformed(word.value, "a number of CPUs, 1 or more");
    word.options.maxcpus = *count;
}

void watchdog_timeout(const Word& word) {
    const auto seconds = text::natural(word.value, 0, ~uint32_t{0});
    if (!seconds) return word.malformed(word.value, "seconds");
    word.options.watchdog_timeout = *seconds;
    word.options.watchdog = *seconds != 0 ? 1 : 0;
}

void sched(const Word& word) {
    for (const std::string_view name : {"credit", "credit2", "arinc653", "rtds", "null"})
        if (word.value == name)
            return word.unsupported(word.value, "Bulkhead has one scheduler, weighted round-robin");
    word.malformed(word.value, "credit, credit2, arinc653, rtds or null");
}

struct Option {
    std::string_view name;
    Handler handle;
    bool negatable = false;
};

using Chosen = abi::BootOptions;
constexpr Option kOptions[] = {
    {"com1", option_com1},
    {"com2", option_com2},
    {"conring_size", conring_size},
    {"console", option_console},
    {"dom0_max_vcpus", option_dom0_max_vcpus},
    {"dom0_mem", option_dom0_mem},
    {"dom0_vcpus_pin", option_dom0_vcpus_pin, true},
    {"guest_loglvl", level<&Chosen::guest_loglvl>},
    {"iommu", option_iommu, true},
    {"loglvl", level<&Chosen::loglvl>},
    {"maxcpus", maxcpus},
    {"mem", mem},
    {"noreboot", flag<&Chosen::noreboot>, true},
    {"nosmp", flag<&Chosen::nosmp>, true},
    {"reboot", option_reboot, true},
    {"sched", sched},
    {"selftest", flag<&Chosen::selftest>, true},
    {"smt", flag<&Chosen::smt>, true},
    {"spec-ctrl", option_spec_ctrl, true},
    {"sync_console", flag<&Chosen::sync_console>, true},
    {"ucode", option_ucode},
    {"vga", option_vga},
    {"watchdog", option_watchdog, true},
    {"watchdog_timeout", watchdog_timeout},
};

const Option* find_option(std::string_view name) {
    for (const Option& option : kOptions)
        if (option.name == name) return &option;
    return nullptr;
}

constexpr bool is_blank(char c) {
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

std::string_view next_word(std::string_view& rest) {
    while (!rest.empty() && is_blank(rest.front())) rest.remove_prefix(1);
    size_t at = 0;
    while (at < rest.size() && !is_blank(rest[at])) ++at;
    const std::string_view word = text::first(rest, at);
    rest.remove_prefix(at);
    return word;
}

void parse_word(std::string_view all, abi::BootOptions& options, Complaints& complaints) {
    const text::Item item = text::item(all);
    Word word{all, item.name, item.value, item.has_value, options, complaints};
    const Option* option = find_option(word.name);
    const bool negated = option == nullptr && text::begins(word.name, "no-");
    if (negated) {
        word.name = text::without(word.name, 3);
        option = find_option(word.name);
    }
    if (option == nullptr) {
        if (text::find(word.name, '.') < word.name.size() && !is_xens_option(word.name)) return;
        const bool xens = is_xens_option(item.name) || is_xens_option(word.name);
        return complaints.add({xens ? Problem::XensOnly : Problem::Unknown, all, {}, nullptr});
    }
    if (negated && (word.has_value || !option->negatable))
        return word.malformed({}, word.has_value ? "either 'no-' or a value" : "a value, and no 'no-'");
    if (negated) {
        word.value = "no";
        word.has_value = true;
    }
    if (!word.has_value && !option->negatable) return word.malformed({}, "a value: NAME=VALUE");
    option->handle(word);
}

}  // namespace

std::string_view options_of(std::string_view command_line) {
    while (!command_line.empty() && is_blank(command_line.front())) command_line.remove_prefix(1);
    size_t end = command_line.size();
    for (std::string_view rest = command_line;;) {
        const std::string_view word = next_word(rest);
        if (word.empty()) break;
        if (word != "--") continue;
        end = static_cast<size_t>(word.data() - command_line.data());
        break;
    }
    while (end > 0 && is_blank(command_line[end - 1])) --end;
    return text::first(command_line, end);
}

abi::BootOptions parse_options(std::string_view command_line, Complaints& complaints) {
    abi::BootOptions options = abi::default_options();
    std::string_view rest = options_of(command_line);
    for (std::string_view word = next_word(rest); !word.empty(); word = next_word(rest))
        parse_word(word, options, complaints);
    return options;
}

}  // namespace bulkhead::boot
