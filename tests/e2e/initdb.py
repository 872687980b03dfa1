"""PostgreSQL's initdb for sandboxes: what the real one makes is made once, and copied from then on.

It takes half a second of a processor, and a copy a tenth of that; PostgreSQL's own tests do the same.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

# drkit starts every program by setpriv, as `setpriv --pdeathsig KILL -- PROGRAM ...`. What is made depends on
# the options after --pgdata, and belongs to who runs it. Whoever comes first makes it, and two may.
# By bash, for others lose the functions that gates put into the environment.
_SETPRIV = """\
#!/bin/bash
case "$4 $5" in
*/initdb' '--pgdata=*) ;;
*) exec {setpriv} "$@" ;;
esac
set -e
initdb=$4 data=${{5#--pgdata=}}
shift 5
made={kept}/$(id -u)-$(printf %s "$*" | tr -c A-Za-z0-9 _)
if [ ! -d "$made" ]; then
  {setpriv} --pdeathsig KILL -- "$initdb" --pgdata="$made.$$" "$@"
  mv -T "$made.$$" "$made" 2>/dev/null || rm -r "$made.$$"
fi
exec {setpriv} --pdeathsig KILL -- cp -aT "$made" "$data"
"""


@contextmanager
def copied(directory: Path) -> Iterator[None]:
    """Every drkit that is started meanwhile copies; the original is kept below `directory`."""
    setpriv = shutil.which("setpriv")
    assert setpriv is not None
    kept, wrapper = directory / "kept", directory / "bin" / "setpriv"
    if not wrapper.exists():
        for path in (kept, wrapper.parent):
            path.mkdir(parents=True)
        # Who runs PostgreSQL makes them.
        kept.chmod(0o1777)
        wrapper.write_text(_SETPRIV.format(setpriv=setpriv, kept=kept))
        wrapper.chmod(0o755)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{wrapper.parent}:{os.environ['PATH']}")
        yield
