# SPDX-License-Identifier: Apache-2.0
"""Debian's own guest kernels, taken from the archive by apt and unpacked without installing them."""
import os
import pathlib
import re
import shutil
import subprocess
import tempfile

from common import OUT, Failure, cache_dir, replacing, run, say, step

# flavour -> the meta package whose dependency is the newest kernel of the archive
KERNELS = {"generic": "linux-image-amd64", "cloud": "linux-image-cloud-amd64"}


def guest_kernel(flavour):
    """The path of the kernel image in out/; asks the archive once per out/ folder, so `clean` looks for a newer one."""
    kernel = OUT / "guests" / f"vmlinuz-{flavour}"
    if not kernel.exists():
        with step(f"fetching Debian's {flavour} kernel"):
            package, version = _newest(KERNELS[flavour])
            cached = cache_dir() / f"{package}_{re.sub('[^A-Za-z0-9.+~-]', '_', version)}.vmlinuz"
            if not cached.exists():
                _download(package, version, cached)
            with replacing(kernel) as temporary:
                shutil.copyfile(cached, temporary)
    return kernel


def _newest(meta):
    for attempt in ("first", "after apt-get update"):
        shown = subprocess.run(["apt-cache", "show", "--no-all-versions", meta], capture_output=True, text=True, stdin=subprocess.DEVNULL)
        found = re.search(r"^Depends:.*?(linux-image-[0-9][^ ,]*) \(= ([^)]+)\)", shown.stdout, re.M)
        if found:
            return found.group(1), found.group(2)
        if attempt == "first":
            _update()
    raise Failure(f"the package lists know no kernel that {meta} depends on; is Debian's archive in /etc/apt/sources.list?")


def _update():
    run((["sudo"] if os.getuid() else []) + ["apt-get", "update"], "reading Debian's package lists")


def _download(package, version, cached):
    with tempfile.TemporaryDirectory(dir=cached.parent) as folder:
        if os.getuid() == 0:
            os.chmod(folder, 0o777)  # apt fetches as the user _apt
        command = ["apt-get", "download", "-q", f"{package}={version}"]
        try:
            run(command, f"downloading {package}", cwd=folder)
        except Failure:
            say("the package lists seem old; reading them again")
            _update()
            run(command, f"downloading {package}", cwd=folder)
        debs = list(pathlib.Path(folder).glob("*.deb"))
        if len(debs) != 1:
            raise Failure(f"apt-get download {package} left {len(debs)} packages instead of one")
        release = package.removeprefix("linux-image-")
        unpack = "dpkg-deb --fsys-tarfile \"$1\" | tar -x -f - -C \"$2\" --no-same-owner \"./boot/vmlinuz-$3\""
        run(["sh", "-c", unpack, "sh", debs[0], folder, release], f"unpacking {debs[0].name}")
        os.replace(pathlib.Path(folder) / "boot" / f"vmlinuz-{release}", cached)
