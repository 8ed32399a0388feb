# SPDX-License-Identifier: Apache-2.0
"""Finds the host files that an xl.cfg names, and rewrites their paths. Just enough of the syntax for that; xl itself judges the rest."""
import re

from common import Failure

_TOKEN = re.compile(r"""
    (?P<space>[ \t\r]+|\#[^\n]*) | (?P<end>[\n;]) | (?P<string>"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*') | (?P<word>[A-Za-z0-9_.+-]+) | (?P<other>.)
""", re.X | re.S)
FILE_KEYS = ("kernel", "ramdisk")


def host_files(text):
    """Yields (key, path, start, end) for each kernel= and ramdisk= at the start of a statement; start and end enclose the quoted string."""
    statement, depth = [], 0
    for token in _TOKEN.finditer(text):
        kind = token.lastgroup
        if kind == "space":
            continue
        if kind == "other" and token[0] in "[]":
            depth += 1 if token[0] == "[" else -1
        if kind == "end" and depth <= 0:
            statement = []
            continue
        statement.append(token)
        if len(statement) == 3 and statement[0][0] in FILE_KEYS and statement[1][0] == "=" and kind == "string":
            yield statement[0][0], re.sub(r"\\(.)", r"\1", token[0][1:-1]), token.start(), token.end()


def relocate(text, place):
    """The text with each host path replaced by what place(key, path) answers."""
    result, last = [], 0
    for key, path, start, end in host_files(text):
        inside = place(key, path)
        if '"' in inside or "\\" in inside:
            raise Failure(f"the file name {path} holds a quote or a backslash; give the {key} a plain name")
        result += [text[last:start], f'"{inside}"']
        last = end
    return "".join(result) + text[last:]
