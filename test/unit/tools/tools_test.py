# SPDX-License-Identifier: Apache-2.0
"""The parts of tools/ that can be wrong without a machine: what they read and what they write."""
import contextlib
import errno
import io
import pathlib
import signal
import subprocess
import sys
import tempfile
import unittest
import unittest.mock

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[3] / "tools"))

import bench
import cli
import common
import image
import machine
import testing
import unit_tests
import xlcfg
from cpio import Archive
from terminal import Screen


class Terminal(unittest.TestCase):
    def screen(self, *pieces):
        screen = Screen()
        for piece in pieces:
            screen.feed(piece)
        return screen.lines

    def test_redrawn_line_is_one_line(self):
        self.assertEqual(self.screen("dom0# x\r\x1b[Kdom0# xl\r\x1b[Kdom0# xl list\r\nName"), ["dom0# xl list", "Name"])

    def test_cursor_moves_and_overwrites(self):
        self.assertEqual(self.screen("abcd\x1b[2DX\b\bY"), ["aYXd"])
        self.assertEqual(self.screen("abcd\x1b[3D\x1b[P"), ["acd"])
        self.assertEqual(self.screen("ad\x1b[D\x1b[2@bc"), ["abcd"])

    def test_escape_cut_anywhere_leaves_no_trace(self):
        whole = "\x1b[=3h\x1b[2J\x1b[01;01Hdom0# \x1b[6n"
        for cut in range(len(whole)):
            self.assertEqual(self.screen(whole[:cut], whole[cut:])[-1], "dom0# ", cut)

    def test_wrapped_echo_is_recognized(self):
        self.assertEqual(machine._echoed(["dom0# echo aaa", "bbb", "aaabbb"], "echo aaabbb"), 2)
        self.assertEqual(machine._echoed(["dom0# true"], "true"), 1)


class UnitTests(unittest.TestCase):
    SOURCE = 'TEST_CASE("one") {}\nTEST_CASE(\n    "two, in "\n    "pieces \\"quoted\\"") {}\n// MY_TEST_CASE("no")\n'

    def test_cases_are_read_from_the_source(self):
        self.assertEqual(unit_tests.cases_of(self.SOURCE), ["one", 'two, in pieces "quoted"'])

    def test_catch2_is_asked_for_names_with_its_own_signs_in_them(self):
        self.assertEqual(unit_tests.catch2_filter(["a", 'b, [c] "d" \\']), 'a,b\\, \\[c\\] \\"d\\" \\\\')

    def test_a_name_means_its_cases_and_their_programs_alone(self):
        def target(name):
            return {"id": name, "filename": [f"{common.BUILD}/{name}"], "target_sources": [{"sources": [f"{folder}/{name}_test.cpp"]}]}

        with tempfile.TemporaryDirectory() as folder:
            pathlib.Path(folder, "x_test.cpp").write_text(self.SOURCE)
            pathlib.Path(folder, "y_test.cpp").write_text('TEST_CASE("three") {}')
            answers = {"--targets": [target("x"), target("y")],
                       "--tests": [{"name": f"unit/{n}", "cmd": [f"{common.BUILD}/{n}"], "depends": [n]} for n in "xy"]
                       + [{"name": "gate/whole", "cmd": ["python3", str(common.BUILD)], "depends": []}]}
            with unittest.mock.patch.object(unit_tests, "_introspect", answers.get):
                def names(*filters):
                    return [(test["name"], cases) for test, cases in unit_tests.chosen(filters)]

                self.assertEqual(names("unit/x: one", "three"), [("unit/x", ["one"]), ("unit/y", None)])
                self.assertEqual(names("unit/y"), [("unit/y", None)])
                self.assertEqual(names("nothing"), [])
                self.assertEqual(len(names()), 3)
                self.assertEqual(unit_tests.targets(unit_tests.chosen(["unit/x: one"])), ["x"])
                self.assertIsNone(unit_tests.targets(unit_tests.chosen(["gate"])))


class XlCfg(unittest.TestCase):
    def test_only_statements_are_rewritten(self):
        text = 'kernel = "/k" # kernel="no"\nramdisk=\'r\'; name="kernel=\\"x\\""\n#kernel="c"\nextra = [ "kernel", "=", "s",\n kernel ]\n'
        seen = []
        self.assertEqual(xlcfg.relocate(text, lambda key, path: seen.append((key, path)) or f"/boot/{key}"),
                         'kernel = "/boot/kernel" # kernel="no"\nramdisk="/boot/ramdisk"; name="kernel=\\"x\\""\n#kernel="c"\nextra = [ "kernel", "=", "s",\n kernel ]\n')
        self.assertEqual(seen, [("kernel", "/k"), ("ramdisk", "r")])


class Cpio(unittest.TestCase):
    def test_members_are_found_where_the_format_says(self):
        archive = Archive()
        archive.file("a/b/c", b"12345", 0o755)
        archive.symlink("a/link", "b/c")
        archive.character_device("dev/console", 5, 1)
        with tempfile.NamedTemporaryFile() as out:
            archive.write(out.name)
            data = out.read()
        found, position = {}, 0
        while True:
            self.assertEqual(data[position:position + 6], b"070701")
            fields = [int(data[position + 6 + 8 * i:position + 14 + 8 * i], 16) for i in range(13)]
            name = data[position + 110:position + 110 + fields[11] - 1].decode()
            start = position + 110 + fields[11]
            start += -start % 4
            if name == "TRAILER!!!":
                break
            found[name] = (fields[1], data[start:start + fields[6]], fields[9:11])
            position = start + fields[6] + -fields[6] % 4
        self.assertEqual(list(found), ["a", "a/b", "a/b/c", "a/link", "dev", "dev/console"])
        self.assertEqual(found["a/b/c"], (0o100755, b"12345", [0, 0]))
        self.assertEqual(found["a/link"][:2], (0o120777, b"b/c"))
        self.assertEqual(found["dev/console"][2], [5, 1])


class Table(unittest.TestCase):
    def test_the_table_of_the_boot_image_is_well_formed(self):
        names = [entry.name for entry in image.entries()]
        self.assertEqual(len(names), len(set(names)))
        for wrong in ("one", "a b", "a what:b", "a src:b frobnicate"):
            with self.assertRaises(common.Failure):
                image.Entry(1, wrong)


class Bench(unittest.TestCase):
    def test_lines_are_read(self):
        self.assertEqual(bench.parse("BENCH kernel.null_syscall 53 instructions cr3=0 ipi=1"),
                         ("kernel.null_syscall", {"value": 53, "unit": "instructions", "counts": {"cr3": "0", "ipi": "1"}}))
        self.assertEqual(bench.parse("bench: BENCH a.b 1.5 x")[1]["value"], 1.5)
        for other in ("BENCH-END", "BENCH a 1 x", "BENCH a.b many x", "dom0# bench kernel"):
            self.assertIsNone(bench.parse(other), other)

    def test_what_was_not_measured_says_so(self):
        row = {"name": "a.b", "value": None, "unit": "x", "target": 5, "peer": "P", "peer_value": 7, "counts": {}}
        self.assertIn("not measured", bench.table([row]))
        self.assertIn("missed", bench.table([row | {"value": 6}]))
        self.assertIn("met", bench.table([row | {"value": 5}]))


class Driver(unittest.TestCase):
    def test_a_full_disk_says_what_to_do(self):
        words = common.explain(OSError(errno.ENOSPC, "No space left on device", "from", None, "to"))
        self.assertTrue(words.startswith("to: the disk is full;") and "./bulkhead clean" in words, words)
        self.assertEqual(common.explain(OSError(errno.EACCES, "Permission denied", "x")), "x: Permission denied")

    def test_a_signal_that_nohup_ignores_stays_ignored(self):
        before = {number: signal.getsignal(number) for number in (signal.SIGHUP, signal.SIGTERM)}
        try:
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
            with unittest.mock.patch.object(sys, "argv", ["bulkhead"]), contextlib.redirect_stdout(io.StringIO()):
                self.assertEqual(cli.main(), 2)
            self.assertEqual(signal.getsignal(signal.SIGHUP), signal.SIG_IGN)
            with self.assertRaises(cli.Interrupted):
                signal.raise_signal(signal.SIGTERM)
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def test_input_of_a_tool(self):
        self.assertEqual(common.run(["cat"], "copying", input=b"words"), "words")
        self.assertEqual(common.run(["cat"], "copying"), "")
        with self.assertRaisesRegex(common.Failure, "no-such-tool.*not installed"):
            common.run(["no-such-tool"], "copying")


class SideBySide(unittest.TestCase):
    def test_an_early_end_takes_the_running_programs_along(self):
        ended = []

        def sleep():
            ended.append(subprocess.run(["sleep", "1000"]).returncode)

        def fail():
            raise KeyboardInterrupt

        self.addCleanup(testing._stopping.clear)
        with self.assertRaises(KeyboardInterrupt):
            testing._side_by_side(2, lambda task: task(), [(fail,), (sleep,), (sleep,)])
        self.assertTrue(all(status == -signal.SIGKILL for status in ended), ended)
        self.assertTrue(testing._stopping.is_set())


class Catch2(unittest.TestCase):
    XML = ('<Catch><Group><TestCase name="good"><OverallResult success="true" durationInSeconds="0.5"/></TestCase>'
           '<TestCase name="bad"><Expression success="false" filename="f.cpp" line="3"><Original>a == b</Original><Expanded>1 == 2</Expanded></Expression>'
           '<OverallResult success="false"/></TestCase>')

    def read(self, text):
        with tempfile.NamedTemporaryFile("w") as file:
            file.write(text)
            file.flush()
            return testing._catch2_cases("t", file.name)

    def test_cases_and_failures_are_read(self):
        cases, complete = self.read(self.XML + "</Group></Catch>")
        self.assertTrue(complete)
        self.assertEqual([(c.name, c.passed, c.seconds) for c in cases], [("t: good", True, 0.5), ("t: bad", False, 0.0)])
        self.assertIn("f.cpp:3: a == b", cases[1].detail)

    def test_a_crashed_program_is_noticed(self):
        cases, complete = self.read(self.XML + '<TestCase name="crash">')
        self.assertFalse(complete)
        self.assertEqual(len(cases), 2)


if __name__ == "__main__":
    unittest.main()
