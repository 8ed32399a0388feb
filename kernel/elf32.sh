#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# usage: elf32.sh IN.elf OUT.elf32: the kernel in an ELF32 container whose entry is boot_entry32's physical address, and whose addresses are physical (GRUB checks the one against the other)
set -e
entry=$(nm "$1" | awk '$3 == "boot_entry32" {print $1}')
objcopy -O elf32-i386 --strip-all --remove-section='.rela*' --change-section-vma '*-0x80000000' --set-start=0x"$(printf %s "$entry" | tail -c 7)" "$1" "$2" 2>/dev/null
