# SPDX-License-Identifier: Apache-2.0
"""Turns a PC Screen Font (version 1, 8x16, with its Unicode table) into a C++ header: glyphs, and who has which.

    make_font.py FONT.psf.gz HEADER
"""
import gzip
import pathlib
import struct
import sys

HEIGHT = 16


def read(path):
    """([16 bytes of each glyph], {code point: glyph})"""
    data = gzip.decompress(pathlib.Path(path).read_bytes())
    magic, mode, height = struct.unpack_from("<HBB", data)
    if magic != 0x0436 or height != HEIGHT or not mode & 2:
        sys.exit(f"make_font.py: {path} is no PSF1 font of 8x16 with a Unicode table")
    count = 512 if mode & 1 else 256
    glyphs = [data[4 + i * HEIGHT:4 + (i + 1) * HEIGHT] for i in range(count)]
    codes, glyph, single = {}, 0, True
    for (word,) in struct.iter_unpack("<H", data[4 + count * HEIGHT:]):
        if word == 0xFFFF:
            glyph, single = glyph + 1, True
        elif word == 0xFFFE:
            single = False  # sequences of combining characters follow
        elif single:
            codes.setdefault(word, glyph)
    return glyphs, codes


def main(font, header):
    glyphs, codes = read(font)
    dos = sorted((ord(bytes([byte]).decode("cp437")), byte) for byte in range(128, 256))
    lines = ["// Made by make_font.py of " + pathlib.Path(font).name + " (public domain).", "#pragma once", "#include <cstdint>", "namespace bulkhead::console {",
             f"inline constexpr uint8_t kGlyphs[{len(glyphs)}][{HEIGHT}] = {{"]
    lines += ["{" + ",".join(str(byte) for byte in glyph) + "}," for glyph in glyphs]
    lines += ["};", "struct CodePoint { uint16_t code, glyph; };", "inline constexpr CodePoint kCodePoints[] = {"]
    lines += [f"{{{code},{glyph}}}," for code, glyph in sorted(codes.items())]
    lines += ["};", "// What a VGA's own font has beyond ASCII (code page 437).", "inline constexpr CodePoint kVgaCharacters[] = {"]
    lines += [f"{{{code},{byte}}}," for code, byte in dos]
    lines += ["};", "}  // namespace bulkhead::console", ""]
    pathlib.Path(header).write_text("\n".join(lines))


if __name__ == "__main__":
    main(*sys.argv[1:])
