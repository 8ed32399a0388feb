# SPDX-License-Identifier: Apache-2.0
"""Each gate passes what is right and fails on what it is there for."""
import contextlib
import io
import json
import pathlib
import subprocess
import tempfile
import unittest

import clang_check
import format_check
import kernel_check
import readme_check


class Gates(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.root = pathlib.Path(self.folder.name)

    def write(self, name, text):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def said(self, gate, *arguments):
        with contextlib.redirect_stdout(io.StringIO()) as out:
            status = gate(*arguments)
        return status, out.getvalue()

    def test_format(self):
        self.write("a.cpp", "int a;\n")
        self.assertEqual(self.said(format_check.main, self.root)[0], 0)
        self.write("sub/b.hpp", "int   b ;\n")
        status, words = self.said(format_check.main, self.root)
        self.assertEqual(status, 1)
        self.assertIn("sub/b.hpp", words)
        self.assertNotIn("a.cpp", words)

    def test_readme(self):
        self.write("README.md", "see [there](x/README.md)\n")
        self.write("x/README.md", "x\n")
        self.assertEqual(self.said(readme_check.main, self.root)[0], 0)
        self.write("y/code.cpp", "")
        self.write("x/more.md", "[gone](nowhere.md)\n")
        status, words = self.said(readme_check.main, self.root)
        self.assertEqual(status, 1)
        self.assertIn("y/ has no README.md", words)
        self.assertIn("nowhere.md", words)

    def test_kernel_lines(self):
        self.write("kernel/a.cpp", "\n" * 11_999)
        self.assertEqual(self.said(kernel_check.lines, self.root)[0], [])
        self.write("kernel/b.S", "\n")
        self.assertEqual(len(self.said(kernel_check.lines, self.root)[0]), 1)
        self.assertEqual(len(self.said(kernel_check.lines, self.root / "kernel")[0]), 1, "no file at all is a mistake too")

    def test_kernel_code(self):
        # 300 functions, so that both tools believe that they saw a kernel.
        plain = "".join(f"long f{i}(long a, long b) {{ return a * {i} + b; }}\n" for i in range(300))
        self.write("good.c", plain)
        self.write("bad.c", plain + "#include <stdlib.h>\ndouble half(double a) { return a / 2; }\nvoid* take(void) { return malloc(7); }\n")
        for name in ("good", "bad"):
            subprocess.run(["g++", "-c", "-O1", "-x", "c", f"{name}.c", "-o", f"{name}.o"], cwd=self.root, check=True)
        good, bad = str(self.root / "good.o"), str(self.root / "bad.o")
        self.assertEqual(kernel_check.instructions(good) + kernel_check.symbols(good), [])
        self.assertIn("half", kernel_check.instructions(bad)[0])
        self.assertIn("malloc", kernel_check.symbols(bad)[0])
        for name in ("_Znwm", "_ZdlPvm", "__cxa_throw", "__adddf3", "__floatdidf"):
            self.assertTrue(kernel_check.FORBIDDEN.match(name), name)

    def test_clang(self):
        self.write("good.cpp", "int f(int a) { return a; }\n")
        self.write("bad.cpp", "static int unused() { return 1; }\n")
        self.write("ignored.cpp", "not C++\n")
        command = "ccache c++ -Wall -Werror {} -mindirect-branch=thunk-inline -MD -MF x.d -o x.o -c {}"
        entries = [dict(directory=str(self.root), file=f, command=command.format(more, f))
                   for f, more in (("good.cpp", ""), ("bad.cpp", ""), ("ignored.cpp", "-w"))]
        listing = self.write("compile_commands.json", json.dumps(entries[:1] + entries[2:]))
        self.assertEqual(self.said(clang_check.main, self.root)[0], 0)
        listing.write_text(json.dumps(entries))
        status, words = self.said(clang_check.main, self.root)
        self.assertEqual(status, 1)
        self.assertIn("unused", words)
        self.assertFalse((self.root / "x.o").exists())


if __name__ == "__main__":
    unittest.main()
