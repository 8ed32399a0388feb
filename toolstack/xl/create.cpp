// SPDX-License-Identifier: Apache-2.0
// xl create and console.
#include "toolstack/xl/create.hpp"

#include "toolstack/xl/command.hpp"
#include "toolstack/xl/path.hpp"

namespace bulkhead::xl {

namespace {

std::string_view as_text(std::span<const std::byte> bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::string base_name(std::string_view path) {
    return std::string(path.substr(path.rfind('/') + 1));
}

// The images of a guest, found before anything is built.
Result<std::span<const std::byte>> image(Backend& backend, const std::string& key, const std::string& path) {
    auto bytes = backend.file(normalize_path(path));
    if (!bytes)
        return fail(bytes.error().kind, key + ": cannot read '" + path + "': " + bytes.error().sentence);
    if (bytes->empty()) return fail(ErrorKind::Invalid, key + ": '" + path + "' is empty.");
    return bytes;
}

Result<void> check_machine(Backend& backend, const DomainConfig& config) {
    const auto domains = backend.domains();
    if (!domains) return std::unexpected(domains.error());
    for (const auto& domain : *domains) {
        if (domain.name == config.name)
            return fail(ErrorKind::Exists, format("a domain named '%s' exists already (ID %u).",
                                                  config.name.c_str(), domain.id));
        if (config.uuid && domain.uuid == *config.uuid)
            return fail(ErrorKind::Exists, format("the UUID %s is in use by domain '%s'.",
                                                  config.uuid->text().c_str(), domain.name.c_str()));
    }
    if (config.affinity.empty()) return {};
    const auto machine = backend.physinfo();
    if (!machine) return std::unexpected(machine.error());
    for (const auto& set : config.affinity) {
        bool usable = false;
        for (std::uint32_t cpu = 0; cpu < machine->nr_cpus; ++cpu) usable = usable || set.contains(cpu);
        if (!usable)
            return fail(ErrorKind::Invalid, format("cpus: '%s' names none of this machine's %u CPUs.",
                                                   set.text().c_str(), machine->nr_cpus));
    }
    return {};
}

bool looks_like_setting(const std::string& word) {
    const auto equals = word.find('=');
    return equals != std::string::npos && word.find('/') > equals;
}

// The one file and the settings after it, of `xl create`'s operands and -f.
Result<std::string> read_command(const Arguments& arguments, std::string& settings) {
    std::string path = arguments.value('f').value_or("");
    for (const auto& operand : arguments.operands) {
        if (looks_like_setting(operand)) {
            settings += operand + "\n";
        } else if (path.empty()) {
            path = operand;
        } else {
            return fail(ErrorKind::Invalid,
                        "expected one configuration file, found '" + path + "' and '" + operand + "'.");
        }
    }
    return path;
}

int foreground(Context& context, DomainId id) {
    const auto end = wait_interruptibly(context, id, WaitFor::Death);
    if (!end) return report(context, "xl", end.error());
    if (!*end) {
        context.console.print(format("xl: no longer waiting for domain %u; it runs on.\n", id));
        return kInterrupted;
    }
    context.console.print(format("Domain %u has been destroyed\n", id));
    return kSuccess;
}

int attach(Context& context, DomainId id) {
    const std::string typed = context.console.take_typed();
    const auto end = context.backend.attach_console(id, typed);
    if (!end) {
        context.console.give_back(typed);
        return report(context, "xl", end.error());
    }
    // The guest wrote to the terminal past us, so where its cursor stands is unknown.
    if (*end == ConsoleEnd::Detached) context.console.print("\n");
    if (*end == ConsoleEnd::DomainGone)
        context.console.print(format("\nxl: domain %u is gone, and its console with it.\n", id));
    return kSuccess;
}

int create(Context& context, const Arguments& arguments) {
    std::string settings;
    auto path = read_command(arguments, settings);
    if (!path) return report(context, "xl create", path.error());
    const bool quiet = arguments.has('q');
    const bool dry_run = arguments.has('n');
    if (!path->empty() && !quiet && !dry_run)
        context.console.print("Parsing config from " + printable(*path) + "\n");
    auto config = load_config(context, *path, settings);
    if (!config) return kFailure;
    for (const auto& warning : config->warnings)
        context.console.print("xl: warning: " + printable(warning) + "\n");
    if (dry_run || arguments.has('d')) context.console.print("{\n" + config->json(4) + "}\n");
    if (dry_run) return kSuccess;
    auto id = build_domain(context.backend, *config);
    if (!id) return report(context, "xl: " + config->name, id.error());
    // The console keeps a log that attaching shows first, so nothing is lost between the start and the
    // attachment.
    if (!arguments.has('p')) {
        if (auto ok = context.backend.unpause(*id); !ok) {
            static_cast<void>(context.backend.destroy(*id));
            return report(context, "xl: " + config->name, ok.error());
        }
    }
    if (arguments.has('c')) {
        if (const int status = attach(context, *id); status != kSuccess) return status;
    }
    return arguments.has('F') ? foreground(context, *id) : kSuccess;
}

int console(Context& context, const Arguments& arguments) {
    const auto type = arguments.value('t');
    if (type && *type != "pv") {
        context.console.print("xl console: the console type '" + printable(*type) +
                              "' does not exist for PVH guests (known: pv).\n");
        return kFailure;
    }
    const auto number = arguments.value('n');
    if (number && parse_number(*number) != 0) {
        context.console.print("xl console: console number '" + printable(*number) +
                              "' does not exist; a domain has number 0 alone.\n");
        return kFailure;
    }
    const auto domain = find_domain(context, arguments.operands[0]);
    if (!domain) return kFailure;
    return attach(context, domain->id);
}

constexpr OptionSpec kCreateOptions[] = {{'q', "quiet"},
                                         {'f', "defconfig", true},
                                         {'p', ""},
                                         {'F', ""},
                                         {'c', ""},
                                         {'n', "dryrun"},
                                         {'V', "vncviewer", false, false},
                                         {'A', "vncviewer-autopass", false, false},
                                         {'d', ""},
                                         {'e', "", false, false},
                                         {0, "ignore-global-affinity-masks", false, false}};
constexpr OptionSpec kConsoleOptions[] = {{'t', "", true}, {'n', "", true}};

constexpr Subcommand kTable[] = {
    {"create", "<ConfigFile> [options] [vars]", "Create a domain from config file <filename>",
     "-p                      Leave the domain paused after it is created.\n"
     "-c                      Connect to the console after the domain is created.\n"
     "-f FILE, --defconfig=FILE\n                        Use the given configuration file.\n"
     "-q, --quiet             Quiet.\n"
     "-n, --dryrun            Dry run - prints the resulting configuration.\n"
     "-d                      Print the resulting configuration, then create the domain.\n"
     "-F                      Run in foreground until death of the domain.",
     0, kAnyNumber, true, kCreateOptions, create},
    {"console", "[options] <Domain>", "Attach to domain's console",
     "-t <type>               console type, pv\n-n <number>             console number, 0", 1, 1, false,
     kConsoleOptions, console},
};

}  // namespace

std::span<const Subcommand> create_subcommands() {
    return kTable;
}

std::optional<DomainConfig> load_config(Context& context, const std::string& path,
                                        const std::string& settings) {
    ConfigFile file;
    std::string who = "xl: ";
    // As in xl: everything is on the command line.
    if (!path.empty() && path != "/dev/null") {
        const auto bytes = context.backend.file(normalize_path(path, "/etc/xen"));
        if (!bytes) {
            context.console.print("xl: cannot read the configuration '" + printable(path) +
                                  "': " + printable(bytes.error().sentence) + "\n");
            return std::nullopt;
        }
        if (auto ok = file.append(base_name(path), as_text(*bytes)); !ok) {
            report(context, "xl", ok.error());
            return std::nullopt;
        }
        who += base_name(path) + ": ";
    }
    if (auto ok = file.append("command line", settings); !ok) {
        report(context, "xl", ok.error());
        return std::nullopt;
    }
    auto config = DomainConfig::parse(file);
    if (config) return *config;
    for (const auto& error : config.error()) {
        // Sentences about a place begin with it; those about the whole file get its name.
        const bool whole_file = error.sentence.starts_with("the ");
        context.console.print((whole_file ? who : "xl: ") + printable(error.sentence) + "\n");
    }
    return std::nullopt;
}

Result<DomainId> build_domain(Backend& backend, DomainConfig config) {
    if (auto ok = check_machine(backend, config); !ok) return std::unexpected(ok.error());
    const auto kernel = image(backend, "kernel", config.kernel);
    if (!kernel) return std::unexpected(kernel.error());
    std::span<const std::byte> ramdisk;
    if (!config.ramdisk.empty()) {
        const auto bytes = image(backend, "ramdisk", config.ramdisk);
        if (!bytes) return std::unexpected(bytes.error());
        ramdisk = *bytes;
    }
    if (!config.uuid) config.uuid = Uuid::from_random(backend.random_bytes());
    return backend.create(config, *kernel, ramdisk);
}

}  // namespace bulkhead::xl
