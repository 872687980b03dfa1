"""`testenv/registries`: the whole way of each registry, and what held."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

from testenv.beside.loop import FailedError, Loop
from testenv.beside.programs import found_or_built

_KINDS = ("distribution", "zot")
# What was built is kept for the next time.
_BUILT = Path("/var/tmp/drkit-registries")


def main() -> int:
    """Exit code 0 if everything held."""
    parser = argparse.ArgumentParser(prog="testenv/registries", description=__doc__)
    parser.add_argument("kind", nargs="?", choices=_KINDS, help="one of them alone")
    parser.add_argument("--backups", type=int, default=5, help="how many are taken while images are pushed")
    options = parser.parse_args()
    failed = 0
    for kind in (options.kind,) if options.kind else _KINDS:
        program = found_or_built(kind, _BUILT)
        home = Path(tempfile.mkdtemp(prefix="drkit-beside-", dir="/var/tmp"))
        try:
            Loop(program, home).run(options.backups)
        except FailedError as error:
            print(f"{kind}: FAILED: {error}", file=sys.stderr)
            failed += 1
        finally:
            shutil.rmtree(home)
    print("everything held" if not failed else f"{failed} of them failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
