# SPDX-License-Identifier: Apache-2.0
"""Turns a serial stream into lines of text, as a terminal would show them: line editors redraw, and scripts want the result."""
import re

_ESCAPE = re.compile(r"\x1b(?:\[([0-9;?=<>]*)([@-~])|[()][0-9A-B]|[=>78cDEHMNOPVWXZ])")
_INCOMPLETE = re.compile(r"\x1b(\[[0-9;?=<>]*|[()])?$")


class Screen:
    """All lines so far, without end; `lines[-1]` is the one that the cursor is in. Not thread-safe."""

    def __init__(self):
        self.lines = [""]
        self._column = 0
        self._rest = ""

    def feed(self, text):
        text = self._rest + text
        self._rest = ""
        position = 0
        while position < len(text):
            character = text[position]
            if character == "\x1b":
                match = _ESCAPE.match(text, position)
                if match:
                    self._control(match[1] or "", match[2])
                    position = match.end()
                    continue
                if _INCOMPLETE.match(text, position):
                    self._rest = text[position:]
                    return
            elif character == "\n":
                self.lines.append("")
                self._column = 0
            elif character == "\r":
                self._column = 0
            elif character == "\b":
                self._column = max(0, self._column - 1)
            elif character == "\t":
                self._put(" " * (8 - self._column % 8))
            elif character >= " ":
                # a run of plain characters at once
                end = position + 1
                while end < len(text) and text[end] >= " ":
                    end += 1
                self._put(text[position:end])
                position = end
                continue
            position += 1

    def _put(self, text):
        line = self.lines[-1].ljust(self._column)
        self.lines[-1] = line[:self._column] + text + line[self._column + len(text):]
        self._column += len(text)

    def _control(self, parameters, final):
        numbers = [int(p) for p in re.findall(r"\d+", parameters)]
        count = numbers[0] if numbers else 1
        line = self.lines[-1]
        if final == "K":
            mode = numbers[0] if numbers else 0
            self.lines[-1] = (line[:self._column], " " * self._column + line[self._column:], "")[min(mode, 2)]
        elif final == "C":
            self._column += count
        elif final == "D":
            self._column = max(0, self._column - count)
        elif final == "G":
            self._column = max(0, count - 1)
        elif final == "P":
            self.lines[-1] = line[:self._column] + line[self._column + count:]
        elif final == "@":
            self.lines[-1] = line[:self._column] + " " * count + line[self._column:]
        elif final in "HJ" and line:
            # Cursor home and erase-screen come from firmware: what follows starts a line of its own.
            self.lines.append("")
            self._column = 0
