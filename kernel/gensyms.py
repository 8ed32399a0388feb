#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# usage: gensyms.py NM OBJCOPY STRIPLESS.elf OUT.elf
# Writes the kernel's function symbols into its section .ksyms (layout: kernel/arch/x86_64/symbols.hpp).
import struct
import subprocess
import sys
import tempfile

nm, objcopy, source, target = sys.argv[1:5]
IMAGE_BASE = 0xffffffff80000000
LIMIT = 96 * 1024
entries = {}
for line in subprocess.run([nm, '-C', source], check=True, capture_output=True, text=True).stdout.splitlines():
    parts = line.split(' ', 2)
    if len(parts) == 3 and parts[1] in 'tTwW' and int(parts[0], 16) >= IMAGE_BASE:
        name = parts[2].split('(')[0].replace('(anonymous namespace)::', '').replace('bulkhead::', '')[:60]
        entries.setdefault(int(parts[0], 16) - IMAGE_BASE, name)
names, offsets = b'', []
for address in sorted(entries):
    offsets.append(len(names))
    names += entries[address].encode() + b'\0'
count = len(offsets)
blob = struct.pack('<I', count) + struct.pack(f'<{count}I', *sorted(entries)) + struct.pack(f'<{count}I', *offsets) + names
if len(blob) > LIMIT:
    sys.exit(f'gensyms: {len(blob)} bytes of symbols do not fit into {LIMIT}: enlarge kTableBytes and LIMIT')
with tempfile.NamedTemporaryFile() as f:
    f.write(blob.ljust(LIMIT, b'\0'))
    f.flush()
    subprocess.run([objcopy, f'--update-section=.ksyms={f.name}', source, target], check=True)
