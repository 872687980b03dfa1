"""The command line behind testenv/vm: runs the volume suite in a virtual machine, and says what held."""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from typing import NoReturn

from testenv.machine import load
from testenv.machine.image import prepared
from testenv.machine.running import Machine, find_program, has_kvm
from testenv.machine.verdict import Verdict
from testenv.processes import ServerError

_CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "drkit-machine"


def main(arguments: list[str] | None = None) -> int:
    """Run the suite; 0 if every case ran and held, 1 if not, 130 if interrupted."""
    parser = argparse.ArgumentParser(prog="testenv/vm", description=__doc__)
    parser.add_argument("--cache", type=Path, default=_CACHE, help="for the image (default: %(default)s)")
    parser.add_argument("--keep-log", type=Path, help="where the machine's console goes")
    parser.add_argument("--minutes", type=float, default=120, help="at most (default: %(default)s)")
    parser.add_argument("-k", dest="cases", default="", help="pytest's expression for cases")
    options = parser.parse_args(arguments)
    if os.geteuid() != 0:
        print("error: building and running the machine needs root", file=sys.stderr)
        return 1
    signal.signal(signal.SIGTERM, _interrupt)
    scratch = Path(tempfile.mkdtemp(prefix="drkit-vm-", dir="/var/tmp"))
    machine = None
    try:
        find_program()
        image = prepared(options.cache, scratch, _say)
        load.pack(scratch / "load.tar", options.cases)
        machine = Machine(image, scratch)
        return _judge(machine, options.minutes)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except ServerError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    finally:
        if options.keep_log and machine and machine.log.exists():
            shutil.copyfile(machine.log, options.keep_log)
        shutil.rmtree(scratch)


def _judge(machine: Machine, minutes: float) -> int:
    _say(f"starts the machine ({'KVM' if has_kvm() else 'software emulation: slow'})")
    verdict = Verdict()
    for said in machine.run(minutes):
        if line := verdict.take(said):
            print(line, flush=True)
    if faults := verdict.faults:
        print(machine.log.read_text(errors="replace"), file=sys.stderr)
        print(f"\nnot held, {len(faults)}:", *faults, sep="\n  ", flush=True)
        return 1
    print(f"all {len(verdict.outcomes)} held")
    return 0


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _interrupt(_number: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
