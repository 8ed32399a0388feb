// SPDX-License-Identifier: Apache-2.0
#include "toolstack/xl/domain_config.hpp"

#include <algorithm>

#include "toolstack/xl/known_keys.hpp"
#include "toolstack/xl/text.hpp"

namespace bulkhead::xl {

namespace {

bool is_alnum(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

std::string quoted(std::string_view text) {
    return "'" + printable(text.substr(0, 80)) + "'";
}

std::string message_at(const ConfigSetting& setting, const std::string& why) {
    return setting.value.place.text() + ": " + setting.key + ": " + why;
}

// Reads settings one by one and collects what is wrong with them.
class Reader {
  public:
    explicit Reader(const ConfigFile& file) : file_(file) {}

    void refuse(const ConfigSetting& setting, const std::string& why) {
        errors_.push_back({ErrorKind::Invalid, message_at(setting, why)});
    }
    void refuse_file(const std::string& why) { errors_.push_back({ErrorKind::Invalid, why}); }

    const ConfigSetting* find(const char* key) const { return file_.find(key); }

    // The value if the key is there and is not a list.
    const ConfigSetting* atom(const char* key) {
        const auto* setting = find(key);
        if (!setting) return nullptr;
        if (!setting->value.is_list) return setting;
        refuse(*setting, "expected a string or a number, found a list.");
        return nullptr;
    }

    void text(const char* key, std::string& into) {
        if (const auto* setting = atom(key)) into = setting->value.atom;
    }

    // False when the key is absent or its value is refused; `into` is then left alone.
    template <typename T>
    bool number(const char* key, std::uint64_t low, std::uint64_t high, const char* unit, T& into) {
        const auto* setting = atom(key);
        if (!setting) return false;
        const auto value = parse_number(setting->value.atom);
        if (!value) {
            refuse(*setting, "expected a number, found " + quoted(setting->value.atom) + ".");
            return false;
        }
        if (*value < low || *value > high) {
            refuse(*setting,
                   format("%s%s is out of range (%llu to %llu).", setting->value.atom.c_str(), unit,
                          static_cast<unsigned long long>(low), static_cast<unsigned long long>(high)));
            return false;
        }
        into = static_cast<T>(*value);
        return true;
    }

    std::vector<Error> take_errors() { return std::move(errors_); }
    bool failed() const { return !errors_.empty(); }

  private:
    const ConfigFile& file_;
    std::vector<Error> errors_;
};

void check_keys(const ConfigFile& file, Reader& reader) {
    for (const auto& setting : file.settings()) {
        if (supported_key(setting.key)) continue;
        const auto similar = similar_key(setting.key);
        std::string why = "unknown key.";
        if (xen_key(setting.key)) {
            why = "this key is not supported by Bulkhead yet.";
        } else if (!similar.empty()) {
            why = "unknown key (did you mean '" + similar + "'?).";
        }
        reader.refuse_file(setting.place.text() + ": " + setting.key.substr(0, 80) + ": " + why);
    }
}

void read_type(Reader& reader, DomainConfig& config) {
    const auto* type = reader.atom("type");
    const auto* builder = reader.atom("builder");
    if (type) {
        const auto& value = type->value.atom;
        if (value == "pv" || value == "hvm") {
            reader.refuse(*type, "Bulkhead does not support " + value +
                                     " guests yet; use type=\"pvh\" with a PVH-capable kernel.");
        } else if (value != "pvh") {
            reader.refuse(*type, "unknown guest type " + quoted(value) + " (known: pvh, pv, hvm).");
        }
        if (builder) config.warnings.push_back(message_at(*builder, "ignored, because type= is given."));
        return;
    }
    if (!builder) return;
    const auto& value = builder->value.atom;
    if (value == "hvm") {
        reader.refuse(*builder,
                      "\"hvm\" asks for an HVM guest, which Bulkhead does not support yet; use type=\"pvh\" "
                      "instead of builder=.");
    } else if (value == "generic" || value == "linux") {
        reader.refuse(*builder, quoted(value) +
                                    " asks for a PV guest, which Bulkhead does not support yet; use "
                                    "type=\"pvh\" instead of builder=.");
    } else {
        reader.refuse(*builder,
                      "unknown builder " + quoted(value) + "; use type=\"pvh\" instead of builder=.");
    }
}

void read_identity(Reader& reader, DomainConfig& config) {
    const auto* name = reader.atom("name");
    if (name) {
        config.name = name->value.atom;
        if (!valid_domain_name(config.name)) {
            reader.refuse(*name, quoted(config.name) +
                                     " is not a domain name: 1 to 63 letters, digits or any of _ . + -, "
                                     "beginning with a letter or digit, and not a number.");
        }
    } else if (!reader.find("name")) {
        reader.refuse_file("the key 'name' is missing; every domain needs a name.");
    }
    if (const auto* uuid = reader.atom("uuid")) {
        config.uuid = Uuid::parse(uuid->value.atom);
        if (!config.uuid)
            reader.refuse(*uuid, "expected a UUID such as 59e1cf6c-6ab9-4879-90e7-adc8d1c63bf5, found " +
                                     quoted(uuid->value.atom) + ".");
    }
}

void read_boot(Reader& reader, DomainConfig& config) {
    reader.text("kernel", config.kernel);
    reader.text("ramdisk", config.ramdisk);
    if (config.kernel.empty())
        reader.refuse_file("the key 'kernel' is missing; a PVH guest boots the kernel that it names.");

    const auto* cmdline = reader.atom("cmdline");
    std::string root, extra;
    reader.text("root", root);
    reader.text("extra", extra);
    if (cmdline) {
        config.command_line = cmdline->value.atom;
        if (!root.empty() || !extra.empty())
            config.warnings.push_back(
                message_at(*cmdline, "root= and extra= are ignored, because cmdline= is given."));
    } else {
        if (!root.empty()) config.command_line = "root=" + root;
        if (!root.empty() && !extra.empty()) config.command_line += ' ';
        config.command_line += extra;
    }
    if (config.command_line.size() > DomainConfig::kMaxCommandLine) {
        reader.refuse_file(format("the kernel command line has %zu bytes; at most %zu are possible.",
                                  config.command_line.size(), DomainConfig::kMaxCommandLine));
    }
}

void read_memory(Reader& reader, DomainConfig& config) {
    constexpr auto low = DomainConfig::kMinMemoryMib;
    constexpr auto high = DomainConfig::kMaxMemoryMib;
    const bool given = reader.number("memory", low, high, " MiB", config.memory_mib);
    const bool limited = reader.number("maxmem", low, high, " MiB", config.max_memory_mib);
    if (!limited) {
        config.max_memory_mib = config.memory_mib;
    } else if (!given && !reader.find("memory")) {
        config.memory_mib = config.max_memory_mib;  // as libxl: the target defaults to the maximum
    } else if (config.max_memory_mib < config.memory_mib) {
        reader.refuse(*reader.find("maxmem"), format("%llu MiB is less than memory=%llu.",
                                                     static_cast<unsigned long long>(config.max_memory_mib),
                                                     static_cast<unsigned long long>(config.memory_mib)));
    } else if (config.max_memory_mib > config.memory_mib) {
        reader.refuse(
            *reader.find("maxmem"),
            format("%llu MiB is more than memory=%llu, and Bulkhead cannot give a running guest more "
                   "memory yet; give both the same value, or memory alone.",
                   static_cast<unsigned long long>(config.max_memory_mib),
                   static_cast<unsigned long long>(config.memory_mib)));
    }
}

void read_cpu_affinity(Reader& reader, DomainConfig& config) {
    const auto* setting = reader.find("cpus");
    if (!setting) return;
    const auto one = [&](const ConfigValue& value) -> std::optional<CpuSet> {
        if (value.is_list) {
            reader.refuse_file(value.place.text() +
                               ": cpus: expected a CPU list as a string, found a list in the list.");
            return std::nullopt;
        }
        auto set = CpuSet::parse(value.atom);
        if (set) return *set;
        reader.refuse_file(value.place.text() + ": cpus: " + set.error().sentence);
        return std::nullopt;
    };
    const auto& value = setting->value;
    if (!value.is_list) {
        if (auto set = one(value); set && !set->is_all()) config.affinity.assign(config.max_vcpus, *set);
        return;
    }
    if (value.items.size() > config.max_vcpus) {
        reader.refuse(*setting,
                      format("the list has %zu entries for %u vCPUs.", value.items.size(), config.max_vcpus));
        return;
    }
    if (value.items.empty()) return;
    config.affinity.assign(config.max_vcpus, CpuSet::all());  // vCPUs beyond the list are not pinned
    for (std::size_t i = 0; i < value.items.size(); ++i) {
        if (auto set = one(value.items[i])) config.affinity[i] = *set;
    }
}

void read_cpus(Reader& reader, DomainConfig& config) {
    const bool given = reader.number("vcpus", 1, DomainConfig::kMaxVcpus, "", config.vcpus);
    const bool limited = reader.number("maxvcpus", 1, DomainConfig::kMaxVcpus, "", config.max_vcpus);
    if (!limited) {
        config.max_vcpus = config.vcpus;
    } else if (!given && !reader.find("vcpus")) {
        config.vcpus = config.max_vcpus;  // as libxl: all that are possible are online
    } else if (config.max_vcpus < config.vcpus) {
        reader.refuse(*reader.find("maxvcpus"),
                      format("%u is less than vcpus=%u.", config.max_vcpus, config.vcpus));
    }
    reader.number("cpu_weight", 1, 65535, "", config.cpu_weight);
    read_cpu_affinity(reader, config);
}

void read_action(Reader& reader, const char* key, Action& into) {
    const auto* setting = reader.atom(key);
    if (!setting) return;
    const auto& value = setting->value.atom;
    for (const auto action : {Action::Destroy, Action::Restart, Action::RenameRestart, Action::Preserve}) {
        if (value == action_name(action)) {
            into = action;
            return;
        }
    }
    if (value == "coredump-destroy" || value == "coredump-restart" || value == "soft-reset") {
        reader.refuse(
            *setting,
            quoted(value) +
                " is not supported by Bulkhead yet (supported: destroy, restart, rename-restart, preserve).");
    } else {
        reader.refuse(*setting, "unknown action " + quoted(value) +
                                    " (known: destroy, restart, rename-restart, preserve).");
    }
}

}  // namespace

const char* action_name(Action action) {
    switch (action) {
        case Action::Destroy: return "destroy";
        case Action::Restart: return "restart";
        case Action::RenameRestart: return "rename-restart";
        case Action::Preserve: return "preserve";
    }
    return "destroy";
}

bool valid_domain_name(std::string_view name) {
    if (name.empty() || name.size() > 63 || !is_alnum(name.front())) return false;
    if (parse_decimal(name) || name.find_first_not_of("0123456789") == std::string_view::npos) return false;
    return std::all_of(name.begin(), name.end(),
                       [](char c) { return is_alnum(c) || c == '_' || c == '.' || c == '+' || c == '-'; });
}

std::expected<DomainConfig, std::vector<Error>> DomainConfig::parse(const ConfigFile& file) {
    DomainConfig config;
    Reader reader(file);
    check_keys(file, reader);
    read_type(reader, config);
    read_identity(reader, config);
    read_boot(reader, config);
    read_memory(reader, config);
    read_cpus(reader, config);
    read_action(reader, "on_poweroff", config.on_poweroff);
    read_action(reader, "on_reboot", config.on_reboot);
    read_action(reader, "on_crash", config.on_crash);
    if (reader.failed()) return std::unexpected(reader.take_errors());
    return config;
}

std::string DomainConfig::json(std::size_t indent) const {
    const std::string margin(indent, ' ');
    std::string out;
    const auto line = [&](const std::string& text) { out += margin + text + "\n"; };
    line("\"c_info\": {");
    line("    \"type\": \"pvh\",");
    line("    \"name\": " + json_string(name) + (uuid ? "," : ""));
    if (uuid) line("    \"uuid\": \"" + uuid->text() + "\"");
    line("},");
    line("\"b_info\": {");
    line(format("    \"max_vcpus\": %u,", max_vcpus));
    std::string online;
    for (std::uint32_t i = 0; i < vcpus; ++i) online += format("%s%u", i == 0 ? "" : ", ", i);
    line("    \"avail_vcpus\": [" + online + "],");
    if (!affinity.empty()) {
        std::string sets;
        for (const auto& set : affinity) sets += (sets.empty() ? "\"" : ", \"") + set.text() + "\"";
        line("    \"vcpu_hard_affinity\": [" + sets + "],");
    }
    line(format("    \"max_memkb\": %llu,", static_cast<unsigned long long>(max_memory_mib * 1024)));
    line(format("    \"target_memkb\": %llu,", static_cast<unsigned long long>(memory_mib * 1024)));
    line("    \"sched_params\": {");
    line(format("        \"weight\": %u", cpu_weight));
    line("    },");
    line("    \"kernel\": " + json_string(kernel) + ",");
    if (!command_line.empty()) line("    \"cmdline\": " + json_string(command_line) + ",");
    if (!ramdisk.empty()) line("    \"ramdisk\": " + json_string(ramdisk) + ",");
    line("    \"type.pvh\": {");
    line("    }");
    line("},");
    line(std::string("\"on_poweroff\": \"") + action_name(on_poweroff) + "\",");
    line(std::string("\"on_reboot\": \"") + action_name(on_reboot) + "\",");
    line(std::string("\"on_crash\": \"") + action_name(on_crash) + "\"");
    return out;
}

}  // namespace bulkhead::xl
