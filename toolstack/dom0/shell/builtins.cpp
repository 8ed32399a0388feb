// SPDX-License-Identifier: Apache-2.0
// Small conveniences for people and scripts: echo, cat, ls, sleep, tsc, true, false.
#include "toolstack/dom0/shell/shell.hpp"
#include "toolstack/xl/path.hpp"

namespace bulkhead::shell {

namespace {

using xl::Context;
using xl::Words;

int usage(Context& context, const char* text) {
    context.console.print(std::string("Usage: ") + text + "\n");
    return xl::kFailure;
}

int echo(Context& context, Words words) {
    const bool newline = words.size() < 2 || words[1] != "-n";
    std::string out;
    const std::size_t first = newline ? 1 : 2;
    for (std::size_t i = first; i < words.size(); ++i) out += (i > first ? " " : "") + words[i];
    context.console.print(newline ? out + "\n" : out);
    return xl::kSuccess;
}

int cat(Context& context, Words words) {
    if (words.size() < 2) return usage(context, "cat FILE ...");
    for (const auto& word : words.subspan(1)) {
        const auto bytes = context.backend.file(xl::normalize_path(word));
        if (!bytes) return xl::report(context, "cat: " + xl::printable(word), bytes.error());
        // In pieces, so that Ctrl-C ends the printing of a kernel image.
        constexpr std::size_t kPiece = 4096;
        const std::string_view text(reinterpret_cast<const char*>(bytes->data()), bytes->size());
        for (std::size_t at = 0; at < text.size(); at += kPiece) {
            if (context.console.interrupted()) return xl::kInterrupted;
            context.console.print(xl::printable(text.substr(at, kPiece)));
        }
    }
    return xl::kSuccess;
}

int ls(Context& context, Words words) {
    std::vector<std::string> folders(words.begin() + 1, words.end());
    if (folders.empty()) folders.push_back("/");
    for (const auto& folder : folders) {
        if (folder.starts_with('-')) return usage(context, "ls [DIR ...]");
        const auto path = xl::normalize_path(folder);
        const auto names = context.backend.list_directory(path);
        if (!names) {
            if (!context.backend.file(path))
                return xl::report(context, "ls: " + xl::printable(folder), names.error());
            context.console.print(xl::printable(folder) + "\n");
            continue;
        }
        std::string out = folders.size() > 1 ? xl::printable(folder) + ":\n" : "";
        for (const auto& name : *names) out += xl::printable(name) + "\n";
        context.console.print(out);
    }
    return xl::kSuccess;
}

// "2", "0.25": milliseconds.
std::optional<std::uint64_t> parse_duration(std::string_view text) {
    const auto dot = text.find('.');
    const auto whole = xl::parse_decimal(text.substr(0, dot));
    if (!whole || *whole > 1'000'000) return std::nullopt;
    std::uint64_t result = *whole * 1000;
    if (dot == std::string_view::npos) return result;
    const auto digits = text.substr(dot + 1);
    if (digits.size() > 3) return std::nullopt;
    auto fraction = xl::parse_decimal(digits);
    if (!fraction) return std::nullopt;
    for (auto i = digits.size(); i < 3; ++i) *fraction *= 10;
    return result + *fraction;
}

int sleep(Context& context, Words words) {
    constexpr std::uint64_t kSliceMs = 100;
    const auto duration = words.size() == 2 ? parse_duration(words[1]) : std::nullopt;
    if (!duration) return usage(context, "sleep SECONDS (at most 1000000, with up to three decimals)");
    for (auto left = *duration; left > 0;) {
        const auto slice = left < kSliceMs ? left : kSliceMs;
        context.backend.sleep_ms(slice);
        left -= slice;
        if (context.console.interrupted()) return xl::kInterrupted;
    }
    return xl::kSuccess;
}

// The same clock that guests see, and the memory: what benchmarks put before and after a command
// (tools/bench.py).
int tsc(Context& context, Words words) {
    if (words.size() != 1) return usage(context, "tsc");
    const auto machine = context.backend.physinfo();
    if (!machine) return xl::report(context, "tsc", machine.error());
    context.console.print(xl::format("tsc=%llu free_kib=%llu total_kib=%llu\n",
                                     static_cast<unsigned long long>(__builtin_ia32_rdtsc()),
                                     static_cast<unsigned long long>(machine->free_memory_kib),
                                     static_cast<unsigned long long>(machine->total_memory_kib)));
    return xl::kSuccess;
}

int succeed(Context&, Words) {
    return xl::kSuccess;
}
int fail(Context&, Words) {
    return xl::kFailure;
}

constexpr ShellCommand kTable[] = {
    {"echo", "[-n] [TEXT ...]", "print its words", echo},
    {"cat", "FILE ...", "print files of dom0's tree", cat},
    {"ls", "[DIR ...]", "list directories of dom0's tree", ls},
    {"sleep", "SECONDS", "wait", sleep},
    {"tsc", "", "print the time-stamp counter and the machine's memory", tsc},
    {"true", "", "succeed", succeed},
    {"false", "", "fail", fail},
};

}  // namespace

std::span<const ShellCommand> builtin_commands() {
    return kTable;
}

}  // namespace bulkhead::shell
