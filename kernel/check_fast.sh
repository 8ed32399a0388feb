#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The fast paths (arch/x86_64/fast_entry.cpp) leave a message's registers alone only as long as they call nothing: even a call
# within the file would pass its arguments in them.
for archive in "$@"; do
    if objdump -d --no-show-raw-insn "$archive" | grep -w call; then
        echo "check_fast: $archive calls a function; make it [[gnu::always_inline]]" >&2
        exit 1
    fi
done
