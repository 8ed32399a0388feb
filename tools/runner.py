# SPDX-License-Identifier: Apache-2.0
"""`./bulkhead run`: the machine on this terminal, or, with --exec, a script at its dom0 prompt."""
import contextlib
import os
import pathlib
import shutil
import subprocess
import sys
import termios
import time

import image
import qemu
from common import LOGS, Failure, die_with_parent, say
from machine import Machine, PATIENCE

TIMED_OUT = 124


def run(options):
    if options.auto and not options.cfg:
        say("--auto without --cfg: the sample guest starts at boot anyway")
    for cfg in options.cfg:
        if not pathlib.Path(cfg).is_file():
            raise Failure(f"--cfg {cfg}: there is no such file")
    log = _log(options.log)
    image.build()
    made = image.Image(options.cfg, auto=options.auto or not options.cfg).prepare()
    return _script(options, made, log) if options.commands else _terminal(options, made, log)


def _log(name):
    if not name:
        return None
    log = pathlib.Path(name).resolve()
    try:
        log.open("ab").close()
    except OSError as error:
        raise Failure(f"--log {name}: {error.strerror}") from None
    return log


def _terminal(options, made, log):
    on_terminal = sys.stdin.isatty()
    args = qemu.command(made, boot=options.boot, memory=options.memory, cpus=options.cpus, icount=options.icount,
                        serial="terminal" if on_terminal else "pipe", log=log, extra=options.qemu_arg)
    if not shutil.which(args[0]):
        raise Failure(f"{args[0]} is not installed; the package qemu-system-x86 holds it")
    if on_terminal:
        say("starting QEMU; Ctrl-A X leaves, Ctrl-A H helps")
    with _restored_terminal():
        process = subprocess.Popen(args, cwd=made.folder, preexec_fn=die_with_parent)
        try:
            status = process.wait(options.timeout)
        except subprocess.TimeoutExpired:
            say(f"{options.timeout} s are over; ending the machine")
            status = TIMED_OUT
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
    return status if 0 <= status < 256 else 1


@contextlib.contextmanager
def _restored_terminal():
    """QEMU makes the terminal raw; if it is killed, nobody else puts that right."""
    try:
        before = termios.tcgetattr(sys.stdin)
    except (termios.error, ValueError):
        yield
        return
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


def _script(options, made, log):
    started = time.monotonic()

    def left():
        """What remains of --timeout, in the units that Machine multiplies by PATIENCE."""
        if options.timeout is None:
            return 1800 / PATIENCE
        remaining = options.timeout - (time.monotonic() - started)
        if remaining <= 0:
            raise TimeoutError
        return remaining / PATIENCE

    failed = 0
    machine = Machine(made, boot=options.boot, memory=options.memory, cpus=options.cpus, icount=options.icount,
                      log=log or LOGS / f"run-{os.getpid()}.log", extra=options.qemu_arg)
    try:
        with machine:
            machine.boot_to_prompt(left())
            for command in options.commands:
                result = machine.cmd(command, left())
                if result.output:
                    print(result.output, flush=True)
                if result.status:
                    say(f"`{command}` ended with status {result.status}")
                    failed = 1
            machine.send("poweroff\n")
            machine.wait_end(min(60, left()))
    except (TimeoutError, Failure) as problem:
        over = options.timeout is not None and time.monotonic() - started >= options.timeout
        if isinstance(problem, TimeoutError) or over:
            say(f"{options.timeout} s are over; ended the machine{machine.tail()}")
            return TIMED_OUT
        raise
    if log is None:
        machine.log.unlink(missing_ok=True)
        for suffix in (".err",):
            machine.log.with_suffix(suffix).unlink(missing_ok=True)
    return failed
