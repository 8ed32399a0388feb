// SPDX-License-Identifier: Apache-2.0
#include "toolstack/xl/options.hpp"

#include "toolstack/xl/text.hpp"

namespace bulkhead::xl {

bool Arguments::has(std::string_view long_name) const {
    for (const auto& option : options) {
        if (option.spec->long_name == long_name) return true;
    }
    return false;
}

std::size_t Arguments::count(char letter) const {
    std::size_t times = 0;
    for (const auto& option : options) times += option.spec->letter == letter ? 1 : 0;
    return times;
}

std::optional<std::string> Arguments::value(char letter) const {
    std::optional<std::string> last;
    for (const auto& option : options) {
        if (option.spec->letter == letter) last = option.value;
    }
    return last;
}

namespace {

class OptionReader {
  public:
    OptionReader(std::string_view command, std::span<const std::string> words,
                 std::span<const OptionSpec> specs)
        : command_(command), words_(words), specs_(specs) {}

    Result<Arguments> read() {
        while (at_ < words_.size()) {
            const std::string& word = words_[at_++];
            if (word == "--") break;
            Result<void> ok;
            if (word.starts_with("--")) {
                ok = long_option(word);
            } else if (word.size() > 1 && word.front() == '-') {
                ok = short_options(word);
            } else {
                result_.operands.push_back(word);
            }
            if (!ok) return std::unexpected(ok.error());
        }
        for (; at_ < words_.size(); ++at_) result_.operands.push_back(words_[at_]);
        return std::move(result_);
    }

  private:
    std::unexpected<Error> refuse(const std::string& why) {
        return fail(ErrorKind::Invalid, std::string(command_) + ": " + why);
    }

    Result<void> accept(const OptionSpec* spec, const std::string& shown, std::optional<std::string> value) {
        if (!spec) return refuse("unknown option '" + shown + "'.");
        if (!spec->supported) return refuse("the option '" + shown + "' is not supported by Bulkhead yet.");
        if (spec->takes_value && !value) {
            if (at_ == words_.size()) return refuse("the option '" + shown + "' needs a value.");
            value = words_[at_++];
        }
        if (!spec->takes_value && value) return refuse("the option '" + shown + "' takes no value.");
        result_.options.push_back({spec, value.value_or("")});
        return {};
    }

    Result<void> long_option(const std::string& word) {
        const auto equals = word.find('=');
        const auto name = word.substr(2, equals == std::string::npos ? equals : equals - 2);
        std::optional<std::string> value;
        if (equals != std::string::npos) value = word.substr(equals + 1);
        const OptionSpec* found = nullptr;
        for (const auto& spec : specs_) {
            if (!name.empty() && spec.long_name == name) found = &spec;
        }
        return accept(found, "--" + name, std::move(value));
    }

    Result<void> short_options(const std::string& word) {
        for (std::size_t i = 1; i < word.size(); ++i) {
            const OptionSpec* found = nullptr;
            for (const auto& spec : specs_) {
                if (spec.letter != 0 && spec.letter == word[i]) found = &spec;
            }
            std::optional<std::string> value;
            const bool glued = found && found->takes_value && i + 1 < word.size();
            if (glued) value = word.substr(i + (word[i + 1] == '=' ? 2 : 1));
            if (auto ok = accept(found, std::string("-") + word[i], std::move(value)); !ok) return ok;
            if (glued) break;
        }
        return {};
    }

    std::string_view command_;
    std::span<const std::string> words_;
    std::span<const OptionSpec> specs_;
    std::size_t at_ = 0;
    Arguments result_;
};

}  // namespace

Result<Arguments> parse_arguments(std::string_view command, std::span<const std::string> words,
                                  std::span<const OptionSpec> specs) {
    return OptionReader(command, words, specs).read();
}

}  // namespace bulkhead::xl
