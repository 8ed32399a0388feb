# SPDX-License-Identifier: Apache-2.0
"""Both stock Debian kernels with 1, 2, 4 and 16 vCPUs on two CPUs. How guests end: test_endings."""
from harness import case, guest_cfg

GUESTS = [(kernel, vcpus) for vcpus in (1, 2, 4) for kernel in ("cloud", "generic")] + [("cloud", 16)]
MACHINE = dict(auto=False, cpus=2, cfgs={f"{k}{n}": guest_cfg(f"{k}{n}", k, n) for k, n in GUESTS})


def _boots(kernel, vcpus):
    @case(f"Debian's {kernel} kernel boots to a shell with {vcpus} vCPU{'s' if vcpus > 1 else ''}, and powers off")
    def boots(m):
        name = f"{kernel}{vcpus}"
        with m.console(name, create=f"/etc/xen/{name}.cfg", timeout=300) as guest:
            assert guest.ok("nproc") == str(vcpus)
            release = guest.ok("uname -r")
            assert ("cloud" in release) == (kernel == "cloud"), release
            log = guest.ok("dmesg | grep -i -E 'pvh|xen' | head")
            assert "PVH" in log and "Xen" in log, log
            guest.send("poweroff -f\n")
            guest.ended()
        m.until_gone(name)
    return boots


for _kernel, _vcpus in GUESTS:
    globals()[f"boots_{_kernel}_{_vcpus}"] = _boots(_kernel, _vcpus)
