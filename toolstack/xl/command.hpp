// SPDX-License-Identifier: Apache-2.0
// What every command gets, and how `xl` finds its subcommands. A command prints, and returns its exit status;
// it keeps nothing.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "toolstack/xl/backend.hpp"
#include "toolstack/xl/options.hpp"
#include "toolstack/xl/terminal.hpp"

namespace bulkhead::xl {

inline constexpr int kSuccess = 0;
inline constexpr int kFailure = 1;
inline constexpr int kInterrupted = 130;  // Ctrl-C, as a shell counts it

struct Context {
    Backend& backend;
    Console& console;
};

using Words = std::span<const std::string>;

inline constexpr std::size_t kAnyNumber = SIZE_MAX;

struct Subcommand {
    std::string_view name;
    std::string_view usage;    // operands and options, for `xl help NAME`
    std::string_view summary;  // one line
    std::string_view options;  // the lines below "Options:", or ""
    std::size_t least_operands;
    std::size_t most_operands;
    bool changes;  // `xl -N` does not run it
    std::span<const OptionSpec> specs;
    int (*run)(Context&, const Arguments&);
};

// The tables of each file of subcommands, put together by xl.cpp.
std::span<const Subcommand> list_subcommands();
std::span<const Subcommand> create_subcommands();
std::span<const Subcommand> lifecycle_subcommands();
std::span<const Subcommand> name_subcommands();
std::span<const Subcommand> host_subcommands();

// Prints "WHO: sentence" and returns kFailure.
int report(Context& context, std::string_view who, const Error& error);

// A domain by ID or name; prints Xen's message when there is none.
std::optional<DomainInfo> find_domain(Context& context, std::string_view id_or_name);

// Waits for a domain's end in slices, so that Ctrl-C ends the waiting (then nullopt inside). Other threads of
// dom0 go on.
Result<std::optional<DomainEnd>> wait_interruptibly(Context& context, DomainId domain, WaitFor what);

}  // namespace bulkhead::xl
