# SPDX-License-Identifier: Apache-2.0
"""`./bulkhead package`: the Debian packages bulkhead and bulkhead-stubdom, from packaging/debian and the build, by dpkg-deb alone."""
import gzip
import hashlib
import os
import pathlib
import re
import shutil
import tempfile

import image as images
import media
from common import OUT, ROOT, Failure, run, step

DEBIAN = ROOT / "packaging" / "debian"
PROGRAM, TEXT = 0o755, 0o644


def main(options):
    folder = pathlib.Path(options.out or OUT)
    folder.mkdir(parents=True, exist_ok=True)
    images.build()
    # No sample guest: its kernel is Debian's to distribute.
    made = images.Image(auto=False, only=("boot/", "stubdom/")).prepare()
    for path in packages(made, images.need(images.LOADER), folder):
        print(path)


def packages(image, loader, folder):
    version = media.version()
    file = f"boot/bulkhead-{version}"
    contents = {
        "bulkhead": {
            f"{file}.elf": (image.path("bulkhead.elf"), TEXT),
            f"{file}.dtb": (image.path("manifest.dtb"), TEXT),
            f"{file}.efi": (loader, TEXT),
            "etc/grub.d/20_bulkhead": (ROOT / "boot" / "grub" / "20_bulkhead", PROGRAM),
            "etc/default/grub.d/bulkhead.cfg": (DEBIAN / "grub-defaults", TEXT),
            "usr/share/lintian/overrides/bulkhead": (DEBIAN / "bulkhead.lintian-overrides", TEXT),
        },
        "bulkhead-stubdom": {f"{file}.cpio": (image.path("bootfs.cpio"), TEXT)},
    }
    words = {"VERSION": version} | _last_commit()
    return [_package(name, files, words, folder) for name, files in contents.items()]


def _package(name, files, words, folder):
    target = folder / f"{name}_{words['VERSION']}_amd64.deb"
    with step(f"making {target.name}"), tempfile.TemporaryDirectory() as temporary:
        tree = pathlib.Path(temporary) / name
        _put(tree, files | {f"usr/share/doc/{name}/copyright": (DEBIAN / "copyright", TEXT)})
        changelog = gzip.compress(_fill("changelog", words).encode(), 9, mtime=0)
        (tree / f"usr/share/doc/{name}/changelog.gz").write_bytes(changelog)
        control = tree / "DEBIAN"
        control.mkdir()
        installed = sorted(p for p in tree.rglob("*") if p.is_file())
        size = sum(-(-p.stat().st_size // 1024) for p in installed)
        sums = "".join(f"{hashlib.md5(p.read_bytes()).hexdigest()}  {p.relative_to(tree)}\n" for p in installed)
        (control / "md5sums").write_text(sums)
        (control / "control").write_text(_fill(f"{name}.control", words | {"SIZE": size}))
        configuration = "".join(f"/{p}\n" for p in sorted(files) if p.startswith("etc/"))
        if configuration:
            (control / "conffiles").write_text(configuration)
        for script in ("postinst", "postrm"):
            if (DEBIAN / f"{name}.{script}").exists():
                _put(control, {script: (DEBIAN / f"{name}.{script}", PROGRAM)})
        for path in tree.rglob("*"):
            if path.is_dir():
                path.chmod(PROGRAM)
            elif path.parent == control and path.name not in ("postinst", "postrm"):
                path.chmod(TEXT)
        tree.chmod(PROGRAM)
        run(["dpkg-deb", "--root-owner-group", "-Zxz", "--build", tree, target], f"making {target.name}", env=os.environ | {"SOURCE_DATE_EPOCH": words["EPOCH"]})
    return target


def _put(tree, files):
    for name, (source, mode) in files.items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, tree / name)
        (tree / name).chmod(mode)


def _fill(name, words):
    return re.sub(r"@([A-Z]+)@", lambda found: str(words[found[1]]), (DEBIAN / name).read_text())


def _last_commit():
    """Who and when: of the commit, so that the same sources give the same packages."""
    text = run(["git", "-C", ROOT, "log", "-1", "--format=%h%n%an <%ae>%n%aD%n%at"], "asking git for the last commit").splitlines()
    if len(text) != 4:
        raise Failure("git tells no last commit to name in the packages' changelog")
    return dict(zip(("COMMIT", "MAINTAINER", "DATE", "EPOCH"), text))
