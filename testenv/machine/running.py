"""One run of the machine: qemu, with KVM where it can be had, and what it says on its two serial lines."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from testenv.processes import ServerError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from testenv.machine.image import Image

_PROGRAM = "qemu-system-x86_64"
_MEMORY, _PROCESSORS = "2G", "2"
# The disks for LVM and ZFS; what they take is what is written to them.
_DISKS = ("lvm", "zfs")
_DISK_BYTES = 8 << 30
_LOOK_SECONDS = 0.2
_TAIL = 3_000


@dataclass(frozen=True)
class Machine:
    """A machine that is to run; its disks and logs are in `directory`."""

    image: Image
    directory: Path

    @property
    def log(self) -> Path:
        """What the kernel and the cases say."""
        return self.directory / "console.log"

    def run(self, minutes: float) -> Iterator[dict[str, Any]]:
        """What the cases report, as it comes, until the machine has switched itself off.

        Raises ServerError where it does not start, does not end in time, or ends without saying how.
        """
        for name in _DISKS:
            with (self.directory / name).open("wb") as disk:
                disk.truncate(_DISK_BYTES)
        told = self.directory / "told"
        told.touch()
        with (self.directory / "qemu.log").open("wb") as errors:
            process = subprocess.Popen(
                self._words(told),
                stdin=subprocess.DEVNULL,
                stdout=errors,
                stderr=errors,
                # What the machine writes to its first disk is in a file without a name, and ends with it.
                env={"PATH": os.environ["PATH"], "TMPDIR": str(self.directory)},
                start_new_session=True,
            )
        try:
            yield from _follow(told, process, minutes * 60, self._last_words)
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
            process.wait()

    def _last_words(self) -> str:
        said = (self.directory / "qemu.log").read_text(errors="replace")
        console = self.log.read_text(errors="replace") if self.log.exists() else ""
        return f"{said}{console[-_TAIL:]}".strip()

    def _words(self, told: Path) -> tuple[str, ...]:
        program, image = find_program(), self.image
        accelerator, processor = ("kvm", "host") if has_kvm() else ("tcg", "max,la57=off")
        disks = [f"file={image.disk},format=raw,if=virtio,snapshot=on"]
        disks += [f"file={self.directory / 'load.tar'},format=raw,if=virtio,readonly=on"]
        disks += [
            f"file={self.directory / name},format=raw,if=virtio,cache=unsafe,discard=unmap" for name in _DISKS
        ]
        kernel = (
            f"root=/dev/vda rw init={image.init} console=ttyS0 panic=-1 mitigations=off no_timer_check quiet"
        )
        return (
            # It ends with us, however we end.
            "setpriv", "--pdeathsig", "KILL", "--",
            program, "-nodefaults", "-display", "none", "-no-reboot", "-nic", "none",
            "-machine", "q35", "-accel", accelerator, "-cpu", processor,
            "-m", _MEMORY, "-smp", _PROCESSORS,
            "-kernel", str(image.kernel), "-initrd", str(image.initrd), "-append", kernel,
            *(word for disk in disks for word in ("-drive", disk)),
            "-serial", f"file:{self.log}", "-serial", f"file:{told}",
        )  # fmt: skip


def find_program() -> str:
    """qemu's path; raises ServerError."""
    program = shutil.which(_PROGRAM)
    if program is None:
        raise ServerError(f"{_PROGRAM} is not installed: apt-get install qemu-system-x86")
    return program


def has_kvm() -> bool:
    """Whether the processor runs machines for us.

    Not every /dev/kvm will do: where its module is neither Intel's nor AMD's (PVM's, say, in a machine of a
    cloud), only kernels that are made for it run, and Debian's is not.
    """
    hardware = any(Path("/sys/module", name).exists() for name in ("kvm_intel", "kvm_amd"))
    return hardware and os.access("/dev/kvm", os.R_OK | os.W_OK)


def _follow(
    told: Path, process: subprocess.Popen[bytes], seconds: float, last_words: Callable[[], str]
) -> Iterator[dict[str, Any]]:
    deadline, rest = time.monotonic() + seconds, ""
    with told.open(encoding="utf-8", errors="replace", newline="") as lines:
        while True:
            over = process.poll() is not None
            rest += lines.read()
            *whole, rest = rest.split("\n")
            for line in whole:
                if line.strip():
                    yield json.loads(line)
            if over:
                if process.returncode != 0:
                    raise ServerError(f"the machine did not run: {last_words()}")
                return
            if time.monotonic() > deadline:
                raise ServerError(
                    f"the machine has not ended within {seconds / 60:g} minutes:\n{last_words()}"
                )
            time.sleep(_LOOK_SECONDS)
