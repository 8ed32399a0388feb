# SPDX-License-Identifier: Apache-2.0
"""What carries Bulkhead to a machine, without booting one: menus, boot records, installation, packages."""
import os
import pathlib
import struct
import subprocess
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
ROOT = pathlib.Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "tools"))

import common
import install
import media
import package


class Folder(unittest.TestCase):
    """Each test has a temporary folder, and a prepared image's files in it."""

    def setUp(self):
        keep = tempfile.TemporaryDirectory()
        self.addCleanup(keep.cleanup)
        self.folder = pathlib.Path(keep.name)
        self.made = self.folder / "made"
        self.made.mkdir()
        for name in ("bulkhead.elf", "manifest.dtb", "bootfs.cpio", "bulkhead.efi"):
            self.made.joinpath(name).write_text(f"the contents of {name}\n")
        self.modules = {"manifest": "manifest.dtb", "bootfs": "bootfs.cpio"}

    def path(self, name):  # with self.modules, what media, install and package ask of an image.Image
        return self.made / name

    def subfolder(self, name):
        path = self.folder / name
        path.mkdir(parents=True)
        return path


def checked(text):
    """GRUB itself parses the text."""
    done = subprocess.run(["grub-script-check"], input=text, text=True, capture_output=True)
    if done.returncode:
        raise AssertionError(done.stderr + text)
    return text


class Menu(unittest.TestCase):
    def test_options_stand_in_every_entry_and_the_self_test_asks_for_it(self):
        text = checked(media.menu("loglvl=all com1=115200", timeout=7, default="selftest"))
        self.assertIn("set timeout=7\n", text)
        self.assertIn("set default=selftest\n", text)
        self.assertEqual(text.count("bulkhead.elf loglvl=all com1=115200\n"), 2)
        self.assertIn("bulkhead.elf selftest loglvl=all com1=115200\n", text)
        self.assertNotIn("@", text)

    def test_without_options_no_line_ends_in_a_blank(self):
        self.assertNotIn(" \n", checked(media.menu()))


class BootRecord(Folder):
    def test_one_active_partition_and_a_signature(self):
        record = media._partition_table(2048, 204800)
        self.assertEqual(len(record), 512)
        self.assertEqual(record[510:], b"\x55\xaa")
        self.assertEqual(record[446], 0x80)
        self.assertEqual(record[450], 0xEF)
        self.assertEqual(struct.unpack("<II", record[454:462]), (2048, 204800))
        self.assertEqual(record[462:510], bytes(48))

    def test_grub_is_put_before_the_partition_and_the_partition_table_stays(self):
        disk, core = self.folder / "disk", bytes(512) + bytes(range(256)) * 5
        table = media._partition_table(2048, 4096)
        disk.write_bytes(table + bytes(2047 * 512))
        media._install_grub(disk, core)
        data = disk.read_bytes()
        self.assertEqual(data[440:512], table[440:512])
        self.assertEqual(struct.unpack("<Q", data[0x5C:0x64])[0], 1)
        self.assertEqual(data[0x66:0x68], b"\x90\x90")
        self.assertEqual(struct.unpack("<QHH", data[512 + 0x1F4:1024]), (2, 3, 0x820))
        self.assertEqual(data[1024:1024 + len(core) - 512], core[512:])
        with self.assertRaises(common.Failure):
            media._install_grub(disk, bytes(512 * 2048))


class Install(Folder):
    def install(self, boot, efi, options=""):
        return install.install(self, boot, efi, self.path("bulkhead.efi"), options)

    def setUp(self):
        super().setUp()
        self.boot, self.partition = self.subfolder("boot"), self.subfolder("esp")
        self.efi = self.subfolder("esp/EFI/bulkhead")
        self.kernel = f"bulkhead-{media.version()}.elf"

    def test_files_lie_where_loaders_look(self):
        self.assertEqual(self.install(self.boot, self.efi, "loglvl=all"), [])
        for folder in (self.boot, self.efi):
            for suffix, made in ((".elf", "bulkhead.elf"), (".dtb", "manifest.dtb"), (".cpio", "bootfs.cpio")):
                self.assertEqual((folder / f"bulkhead-{media.version()}{suffix}").read_text(), self.path(made).read_text())
        self.assertTrue((self.efi / "bulkhead.efi").exists())
        text = (self.efi / "bulkhead.cfg").read_text()
        self.assertIn("options=loglvl=all\n", text)
        for line in text.splitlines():
            if line.startswith(("kernel=", "module=")):
                self.assertTrue((self.efi / line.split("=")[1].split()[0]).exists(), line)
        self.assertFalse((self.partition / "loader").exists())
        done = subprocess.run(["sha256sum", "--quiet", "-c", "bulkhead.sums"], cwd=self.efi)
        self.assertEqual(done.returncode, 0)

    def test_systemd_boot_gets_an_entry_where_it_is(self):
        self.subfolder("esp/loader")
        self.install(self.boot, self.efi)
        entry = (self.partition / "loader/entries/bulkhead.conf").read_text()
        self.assertIn("\nefi /EFI/bulkhead/bulkhead.efi\n", entry)

    def test_an_update_replaces_what_nobody_changed(self):
        self.install(self.boot, self.efi, "a")
        self.path("bulkhead.elf").write_text("a newer kernel")
        self.assertEqual(self.install(self.boot, self.efi, "b"), [])
        self.assertEqual((self.boot / self.kernel).read_text(), "a newer kernel")
        self.assertIn("options=b\n", (self.efi / "bulkhead.cfg").read_text())

    def test_what_somebody_changed_stays(self):
        self.install(self.boot, self.efi)
        configuration = self.efi / "bulkhead.cfg"
        configuration.write_text("mine")
        for _ in range(2):  # again, it is still not ours
            self.assertEqual(self.install(self.boot, self.efi, "new"), [configuration])
            self.assertEqual(configuration.read_text(), "mine")
            self.assertIn("options=new\n", (self.efi / "bulkhead.cfg.new").read_text())

    def test_what_was_there_before_stays(self):
        self.subfolder("esp/loader/entries")
        others = {self.efi / "bulkhead.cfg": "theirs", self.partition / "loader/entries/arch.conf": "arch", self.boot / "vmlinuz": "linux"}
        for path, text in others.items():
            path.write_text(text)
        self.assertEqual(self.install(self.boot, self.efi), [self.efi / "bulkhead.cfg"])
        for path, text in others.items():
            self.assertEqual(path.read_text(), text)

    def test_a_missing_folder_is_told(self):
        with self.assertRaisesRegex(common.Failure, "--efi-dir .*mounted"):
            self.install(self.boot, self.folder / "nowhere")
        self.assertEqual(list(self.boot.iterdir()), [])

    def test_the_lines_for_grub(self):
        text = checked(install.grub_entry(self.boot, "1.2", "loglvl=all"))
        self.assertIn("bulkhead-1.2.elf loglvl=all\n", text)


class Mkconfig(Folder):
    def run_snippet(self, **words):
        environment = os.environ | {"BULKHEAD_BOOT": str(self.folder), "GRUB_DEVICE_BOOT": ""} | words
        return subprocess.run(["sh", ROOT / "boot/grub/20_bulkhead"], env=environment, text=True, capture_output=True, check=True)

    def versions(self, *names):
        for name in names:
            self.folder.joinpath(f"bulkhead-{name}").touch()

    def test_installed_versions_newest_first(self):
        self.versions(*(f"{v}.{part}" for v in ("0.9.0", "0.10.0") for part in ("elf", "dtb", "cpio")))
        text = checked(self.run_snippet(GRUB_CMDLINE_BULKHEAD="one", GRUB_CMDLINE_BULKHEAD_DEFAULT="two").stdout)
        kernels = [line.split() for line in text.splitlines() if "multiboot2" in line]
        self.assertEqual([(k[1].rsplit("/", 1)[1], k[2:]) for k in kernels],
                         [("bulkhead-0.10.0.elf", ["one", "two"]), ("bulkhead-0.10.0.elf", ["one", "two"]), ("bulkhead-0.10.0.elf", ["selftest", "one"]),
                          ("bulkhead-0.9.0.elf", ["one", "two"]), ("bulkhead-0.9.0.elf", ["selftest", "one"])])

    def test_nothing_installed_gives_nothing(self):
        self.assertEqual(self.run_snippet().stdout, "")

    def test_a_version_that_lacks_a_part_is_named(self):
        self.versions("1.elf", "1.dtb")
        done = self.run_snippet()
        self.assertEqual(done.stdout, "")
        self.assertIn("bulkhead-1.cpio", done.stderr)


class Package(Folder):
    def dpkg(self, *words):
        rights = [] if os.getuid() == 0 else ["fakeroot"]
        done = subprocess.run([*rights, "dpkg", f"--root={self.root}", "--force-not-root", "--force-script-chrootless", "--force-depends", "--log=/dev/null", *map(str, words)],
                              env=os.environ | {"PATH": os.environ["PATH"] + ":/usr/sbin:/sbin"}, text=True, capture_output=True)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def files(self):
        return {str(p.relative_to(self.root)) for p in self.root.rglob("*") if p.is_file() and "var/lib/dpkg" not in str(p)}

    def test_packages_install_and_remove_cleanly_and_lintian_has_no_error(self):
        debs = package.packages(self, self.path("bulkhead.efi"), self.folder)
        version = media.version()
        self.root = self.subfolder("root")
        self.subfolder("root/var/lib/dpkg/info")
        self.subfolder("root/var/lib/dpkg/updates")
        for name in ("status", "available"):
            self.root.joinpath("var/lib/dpkg", name).touch()
        self.dpkg("-i", *debs)
        boot = {f"boot/bulkhead-{version}.{suffix}" for suffix in ("elf", "dtb", "efi", "cpio")}
        self.assertLessEqual(boot | {"etc/grub.d/20_bulkhead", "etc/default/grub.d/bulkhead.cfg"}, self.files())
        self.assertTrue(os.access(self.root / "etc/grub.d/20_bulkhead", os.X_OK))
        defaults = self.root / "etc/default/grub.d/bulkhead.cfg"
        defaults.write_text('GRUB_CMDLINE_BULKHEAD="mine"\n')
        self.dpkg("-i", *debs)  # again: the changed configuration stays
        self.assertIn("mine", defaults.read_text())
        self.dpkg("-r", "bulkhead", "bulkhead-stubdom")
        self.assertEqual(self.files(), {"etc/grub.d/20_bulkhead", "etc/default/grub.d/bulkhead.cfg"})
        self.dpkg("-P", "bulkhead", "bulkhead-stubdom")
        self.assertEqual(self.files(), set())
        done = subprocess.run(["lintian", "--fail-on", "error", "--allow-root", *map(str, debs)], text=True, capture_output=True)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_equal_sources_give_equal_packages(self):
        first, second = (package.packages(self, self.path("bulkhead.efi"), self.subfolder(name)) for name in "ab")
        for one, other in zip(first, second):
            self.assertEqual(one.read_bytes(), other.read_bytes())


if __name__ == "__main__":
    unittest.main()
