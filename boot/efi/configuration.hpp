// SPDX-License-Identifier: Apache-2.0
// Finds and reads the configuration: inside the image, where -cfg= says, or beside the loader.
#pragma once

#include "boot/config/arguments.hpp"
#include "boot/config/config.hpp"
#include "boot/config/embedded.hpp"
#include "boot/efi/files.hpp"

namespace bulkhead::boot {

struct Configuration {
    Config config;
    std::string_view name;  // of the file, for messages
    Where at(const FileLine& line) const { return {name, line.line}; }
};

Configuration read_configuration(Volume& volume, const EmbeddedFiles& embedded, const Arguments& arguments);

}  // namespace bulkhead::boot
