# SPDX-License-Identifier: Apache-2.0
"""Builds what the machine boots from: ninja's products, the bootfs archive, and the EFI system partition around them."""
import os
import pathlib
import re
import shutil

import debian
import esp
import guest
import xlcfg
from common import BUILD, OUT, ROOT, Failure, fresh, made, replacing, run, say, short_hash, step
from cpio import Archive

TABLE = ROOT / "boot" / "image.list"
CONFIGURATION = ROOT / "boot" / "bulkhead.cfg"
KERNEL = "kernel/bulkhead.elf"    # for every loader
LOADER = "boot/bulkhead.efi"
MANIFEST = "boot/manifest.dtb"
ROOT_TASK = "boot/root"           # its name in the bootfs archive
KINDS = {"build": BUILD, "guest": OUT / "guests", "src": ROOT}


class Entry:
    """One line of boot/image.list."""

    def __init__(self, number, line):
        words = line.split()
        place = f"boot/image.list:{number}"
        if len(words) < 2 or ":" not in words[1]:
            raise Failure(f"{place}: expected `where in bootfs`, `kind:path` and options")
        self.place, self.name, self.options = place, words[0], set(words[2:])
        self.kind, self.source = words[1].split(":", 1)
        if self.kind not in KINDS:
            raise Failure(f"{place}: unknown kind '{self.kind}' (known: {', '.join(KINDS)})")
        unknown = self.options - {"strip", "auto"}
        if unknown:
            raise Failure(f"{place}: unknown option '{min(unknown)}' (known: auto, strip)")

    @property
    def path(self):
        return KINDS[self.kind] / self.source


def entries():
    lines = enumerate(TABLE.read_text().splitlines(), 1)
    return [Entry(number, line) for number, line in lines if line.split("#")[0].strip()]


# --- the build -------------------------------------------------------------------------------------------------------


def configure():
    if not (BUILD / "build.ninja").exists():
        with step("configuring the build", after=0):
            run(["meson", "setup", BUILD, ROOT], "configuring the build")


def ninja(targets):
    """Builds those of `targets` that the build files know (all, if None)."""
    configure()
    args = ["ninja", "-C", str(BUILD)]
    # A compiler cache then serves other checkouts of the same sources, too.
    os.environ.setdefault("CCACHE_NOHASHDIR", "true")
    os.environ.setdefault("CCACHE_BASEDIR", str(ROOT))
    if targets is not None:
        run(["ninja", "-C", BUILD, "build.ninja"], "configuring the build anew")
        known = set(re.findall(r"^(.*?): ", run(["ninja", "-C", BUILD, "-t", "targets", "all"], "reading the build files"), re.M))
        args += [t for t in targets if t in known]
        if len(args) == 3:
            return
    with step("compiling"):
        run(args, "the build")


def build(manifest=MANIFEST):
    """Everything `run` needs, up to date."""
    ninja([KERNEL, LOADER, manifest, *guest.TARGETS, *(e.source for e in entries() if e.kind == "build")])
    guest.initramfs()
    for flavour in debian.KERNELS:
        debian.guest_kernel(flavour)


def need(target):
    path = BUILD / target
    if not path.exists():
        raise Failure(f"the build makes no {target}: nothing to boot yet")
    return path


def stripped(path, how):
    """A copy of a program of the build without debug information, or without symbols too."""
    target = OUT / "stripped" / str(path.relative_to(BUILD)).replace("/", "_")
    if not fresh(target, [path], how):
        with replacing(target) as temporary:
            run(["objcopy", how, path, temporary], f"stripping {path.name}")
        made(target, [path], how)
    return target


# --- one boot image --------------------------------------------------------------------------------------------------


class Image:
    """A folder out/images/<variant>/ with the kernel and its boot modules. Equal wishes share one folder.

    After prepare(), `modules` is {name that the kernel knows: file in the folder}.

    cfgs:     host xl.cfg files that become /etc/xen/<name>.cfg, their kernel= and ramdisk= files with them
    auto:     start the cfgs (or the sample guest, if there are none) at boot
    files:    more files for bootfs: {"dom0/etc/xen/x.cfg": text, bytes or pathlib.Path, ...}
    manifest: another device tree of the build
    only:     leave out what lies in other folders of the archive than these
    root:     another program of the build as the root task, alone: without manifest and bootfs
    """

    def __init__(self, cfgs=(), auto=True, files=None, manifest=MANIFEST, options="", root=None, only=None):
        self.cfgs, self.auto, self.files, self.options = [pathlib.Path(c) for c in cfgs], auto, dict(files or {}), options
        self.manifest_target, self.root, self.only = manifest, root, ("boot/",) if root else only
        wishes = ([str(c.resolve()) for c in self.cfgs], auto, sorted(self.files.items()), manifest, options, root, only)
        self.folder = OUT / "images" / short_hash(wishes)
        self.folder.mkdir(parents=True, exist_ok=True)
        self._hosts = {}  # name in bootfs -> host file

    def prepare(self):
        """Brings kernel, manifest and bootfs up to date; returns self."""
        self._copy(stripped(need(KERNEL), "--strip-all"), "bulkhead.elf")
        self._bootfs()
        self.modules = {"bootfs": "bootfs.cpio"}
        if not self.root:
            self._copy(need(self.manifest_target), "manifest.dtb")
            self.modules["manifest"] = "manifest.dtb"
        return self

    def path(self, name):
        return self.folder / name

    def _copy(self, source, name):
        target = self.path(name)
        if not fresh(target, [source]):
            with replacing(target) as temporary:
                shutil.copyfile(source, temporary)
            made(target, [source])

    def _bootfs(self):
        texts = self._host_configurations()
        wanted = self._entries()
        target = self.path("bootfs.cpio")
        recipe = short_hash((sorted(texts.items()), sorted(self.files.items())))
        inputs = [TABLE, *(e.path for e in wanted), *self._hosts.values(), *(f for f in self.files.values() if isinstance(f, pathlib.Path))]
        if fresh(target, inputs, recipe):
            return
        with step("packing the boot image"):
            archive = Archive()
            for entry in wanted:
                if self._exists(entry):
                    archive.file(entry.name, self._product(entry).read_bytes(), 0o755 if entry.kind == "build" else 0o644)
            for name, path in self._hosts.items():
                archive.file(name, path.read_bytes())
            for name, content in (texts | self.files).items():
                archive.file(name, content.encode() if isinstance(content, str) else content.read_bytes() if isinstance(content, pathlib.Path) else content)
            with replacing(target) as temporary:
                archive.write(temporary, align=65536)
        made(target, inputs, recipe)

    def _entries(self):
        """The lines of boot/image.list that this image wants."""
        wanted = [e for e in entries() if "auto" not in e.options or (self.auto and not self.cfgs)]
        if self.only:
            wanted = [e for e in wanted if e.name.startswith(self.only)]
        if self.root:
            next(e for e in wanted if e.name == ROOT_TASK).source = self.root
        return wanted

    @staticmethod
    def _exists(entry):
        if not entry.path.exists():
            say(f"{entry.place}: {entry.kind}:{entry.source} does not exist, so the boot image goes without {entry.name}")
        return entry.path.exists()

    @staticmethod
    def _product(entry):
        """The file to pack: the entry's own, or a copy without debug information (symbols stay, for traces)."""
        return stripped(entry.path, "--strip-debug") if "strip" in entry.options else entry.path

    def _host_configurations(self):
        """{name in bootfs: text} of the host's xl.cfg files, with paths as dom0 will see them; fills self._hosts."""
        texts, self._hosts = {}, {}
        inside_already = {"/" + e.name.removeprefix("dom0/") for e in entries()} | {"/" + n.removeprefix("dom0/") for n in self.files}
        for cfg in self.cfgs:
            name = cfg.name if cfg.suffix == ".cfg" else cfg.name + ".cfg"
            if f"dom0/etc/xen/{name}" in texts:
                raise Failure(f"two --cfg files are called {name}, and each becomes /etc/xen/{name}; rename one")

            def place(key, path, cfg=cfg, name=name):
                host = next((p for p in (pathlib.Path(path), cfg.parent / path) if p.is_file()), None)
                if host is None:
                    if path in inside_already:
                        return path
                    raise Failure(f"{cfg}: {key}: there is no file {path} on this machine, nor in the boot image")
                inside = f"boot/{name.removesuffix('.cfg')}/{key}-{host.name}"
                self._hosts[f"dom0/{inside}"] = host
                return f"/{inside}"

            try:
                text = xlcfg.relocate(cfg.read_text(), place)
            except (OSError, UnicodeDecodeError) as error:
                raise Failure(f"--cfg {cfg} cannot be read: {getattr(error, 'strerror', None) or 'it is not text'}") from None
            texts[f"dom0/etc/xen/{name}"] = text
            if self.auto:
                texts[f"dom0/etc/xen/auto/{name}"] = text
        return texts

    # --- what firmware boots from ---

    def system_files(self):
        """{name: file} of what stands in the loader's folder beside it."""
        self._write("bulkhead.cfg", self._configuration())
        return {name: self.path(name) for name in ("bulkhead.cfg", "bulkhead.elf", *self.modules.values())}

    def system_partition(self):
        """The disk that a UEFI machine boots from."""
        disk = self.path("esp.img")
        contents = {"EFI/BOOT/BOOTX64.EFI": need(LOADER)} | {f"EFI/BOOT/{name}": path for name, path in self.system_files().items()}
        if not fresh(disk, contents.values()):
            made(esp.make(disk, contents), contents.values())
        return disk

    def _configuration(self):
        """boot/bulkhead.cfg with this image's options and modules."""
        text = CONFIGURATION.read_text()
        text = re.sub(r"(?m)^(module|dtb|ramdisk)=.*\n", "", text).rstrip("\n") + "\n"
        if self.options:
            text = re.sub(r"(?m)^options=.*$", lambda _: f"options={self.options}", text, count=1)
        keys = {"manifest": "dtb={}\n", "bootfs": "ramdisk={}\n"}
        return text + "".join(keys.get(name, f"module={{}} {name}\n").format(file) for name, file in self.modules.items())

    def _write(self, name, text):
        if not self.path(name).exists() or self.path(name).read_text() != text:
            self.path(name).write_text(text)
