// SPDX-License-Identifier: Apache-2.0
// The boot command line, in the syntax of Xen's (xen-command-line): the text becomes an abi::BootOptions, and
// every word that cannot be followed becomes a complaint. Repeated: the last one counts. No allocation, no C
// library: the kernel's boot code, the EFI loader and the host tests compile the same code.
#pragma once

#include <string_view>

#include "abi/bootinfo.hpp"

namespace bulkhead::boot {

enum class Problem {
    Unknown,      // nobody's option
    XensOnly,     // an option of Xen's that has no meaning or no code here
    Unsupported,  // an option of ours, but not with this value
    Malformed     // an option of ours with a value that nobody understands
};

struct Complaint {
    Problem problem;
    std::string_view word;  // as written: "maxcpus=many"
    std::string_view part;  // what of it is meant; may be all of its value, or empty
    const char* why;        // Malformed: what was expected. Unsupported: why. Else nullptr
};

class Complaints {
  public:
    virtual void add(const Complaint&) = 0;

  protected:
    ~Complaints() = default;
};
// For who only wants to know what is chosen; the kernel tells the operator.
struct NoComplaints final : Complaints {
    void add(const Complaint&) override {}
};

// The options without the blanks around them. They end before a lone "--", behind which Xen expects the
// options of dom0's kernel.
std::string_view options_of(std::string_view command_line);

// Words with a dot in their name ("attack.tries=9") belong to a root task other than the supervisor and are
// left alone.
abi::BootOptions parse_options(std::string_view command_line, Complaints&);

// Is the screen as vga= wishes? Of bits a pixel, those that carry colour count as well as all.
bool is_met(const abi::VgaOptions& wish, const abi::BootFramebuffer& screen);

}  // namespace bulkhead::boot
