# SPDX-License-Identifier: Apache-2.0
"""Writes cpio archives in the `newc` form without root: owner 0, time 0, so that equal contents give equal archives."""
import stat


class Archive:
    def __init__(self):
        self._members = {}

    def directory(self, name, mode=0o755):
        """Adds a directory and, before it, the directories above it."""
        name = name.strip("/")
        if name and name not in self._members:
            self._parents(name)
            self._members[name] = (stat.S_IFDIR | mode, b"", (0, 0))

    def file(self, name, data, mode=0o644):
        self._parents(name)
        self._members[name] = (stat.S_IFREG | mode, data, (0, 0))

    def symlink(self, name, target):
        self._parents(name)
        self._members[name] = (stat.S_IFLNK | 0o777, target.encode(), (0, 0))

    def character_device(self, name, major, minor, mode=0o600):
        self._parents(name)
        self._members[name] = (stat.S_IFCHR | mode, b"", (major, minor))

    def names(self):
        return list(self._members)

    def _parents(self, name):
        if "/" in name:
            self.directory(name.rsplit("/", 1)[0])

    def write(self, path, align=4):
        """`align`: where files' contents begin, in bytes; a member named `.pad` fills the gap before one that needs it."""
        with open(path, "wb") as out:
            for number, (name, (mode, data, device)) in enumerate(self._members.items(), 1):
                if stat.S_ISREG(mode) and data:
                    _pad(out, len(name.encode()) + 1, align)
                _member(out, number, name, mode, data, device)
            _member(out, 0, "TRAILER!!!", 0, b"", (0, 0))


_HEADER = 110


def _pad(out, name_size, align):
    def begin(at, size):
        return (at + _HEADER + size + 3) & ~3
    if begin(out.tell(), name_size) % align:
        after = begin(out.tell(), len(".pad") + 1)
        _member(out, 0, ".pad", stat.S_IFREG, bytes(-begin(after, name_size) % align), (0, 0))


def _member(out, inode, name, mode, data, device):
    # ino mode uid gid nlink mtime filesize devmajor devminor rdevmajor rdevminor namesize check, 8 hexadecimal digits each
    links = 2 if stat.S_ISDIR(mode) else 1
    encoded = name.encode() + b"\0"
    fields = (inode, mode, 0, 0, links, 0, len(data), 0, 0, device[0], device[1], len(encoded), 0)
    header = b"070701" + b"".join(b"%08X" % f for f in fields) + encoded
    out.write(header + bytes(-len(header) % 4))
    out.write(data)
    out.write(bytes(-len(data) % 4))
