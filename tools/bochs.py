# SPDX-License-Identifier: Apache-2.0
"""Bochs, the second opinion: another emulator, another CPU (ryzen has SVM with NRIPS), another chipset.

ips is low on purpose: Bochs waits emulated time for each CD sector, and so fewer instructions pass."""
import media

CONFIGURATION = """\
config_interface: textconfig
display_library: term
plugin_ctrl: unmapped=1, biosdev=1, speaker=0, extfpuirq=1, parallel=0, serial=1, iodebug=1
memory: guest={memory}, host={memory}
romimage: file=/usr/share/bochs/BIOS-bochs-latest
vgaromimage: file=/usr/share/vgabios/vgabios.bin
cpu: model={model}, count={cpus}, ips=5000000, reset_on_triple_fault=0, ignore_bad_msrs=1, cpuid_limit_winnt=0
clock: sync=none, time0=utc
pci: enabled=1, chipset=i440fx
vga: extension=none, update_freq=1, realtime=0
ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14
ata0-master: type=cdrom, path={iso}, status=inserted
boot: cdrom
floppy_bootsig_check: disabled=1
com1: enabled=1, mode=term, dev={serial}
port_e9_hack: enabled=1
log: {log}
panic: action=fatal
error: action=report
info: action=ignore
debug: action=ignore
sound: waveoutdrv=dummy
"""


def command(image, *, memory, cpus, serial, log, model="ryzen"):
    """Bochs with its debugger, as Debian builds it: a command file lets it run."""
    settings = image.path("bochsrc")
    settings.write_text(CONFIGURATION.format(memory=memory, cpus=cpus, model=model, iso=media.iso(image, timeout=0), serial=serial, log=log))
    go = image.path("bochs.rc")
    go.write_text("c\n")
    return ["bochs-bin", "-q", "-rc", str(go), "-f", str(settings)]
