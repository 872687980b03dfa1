"""A process that crashes with secrets in its memory leaves no core."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from tests import needs

_CRASHES = "import os, signal; {first}os.kill(os.getpid(), signal.SIGSEGV)"
_FORBID = "from drkit.tools.process import core_dumps; core_dumps.forbid(); "


def dumps_core(first: str, directory: Path) -> bool:
    """Whether the kernel wrote a core, or gave it to a program; cores are allowed."""
    words = [
        "sh",
        "-c",
        'ulimit -c unlimited && exec "$@"',
        "sh",
        sys.executable,
        "-c",
        _CRASHES.format(first=first),
    ]
    process = subprocess.Popen(words, cwd=directory, env={"PYTHONPATH": str(Path.cwd())})
    _, status = os.waitpid(process.pid, 0)
    process.returncode = 0
    assert os.WTERMSIG(status) == signal.SIGSEGV
    return os.WCOREDUMP(status)


def test_no_core(tmp_path: Path) -> None:
    if not dumps_core("", tmp_path):
        needs.missing("this machine writes no cores, so that none proves nothing")
    for core in tmp_path.iterdir():
        core.unlink()
    assert not dumps_core(_FORBID, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_children_leave_none_either(tmp_path: Path) -> None:
    child = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import os; os.abort()']); "
    assert not dumps_core(_FORBID + child, tmp_path)
    assert list(tmp_path.iterdir()) == []
