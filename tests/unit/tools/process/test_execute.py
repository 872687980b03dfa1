"""How children are started, fed and listened to; on real processes."""

from __future__ import annotations

import grp
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from drkit.errors import ConfigError, ToolFailed, ToolMissing
from drkit.tools.process import command, execute
from drkit.tools.process.command import Command, Completed, failure, find_program
from tests.unit.tools.living import sh, succeeded

# What a child says, and how it ended


def test_run_returns_everything_whatever_the_exit_code() -> None:
    assert execute.run(sh("echo out; echo err >&2; exit 3")) == Completed(3, b"out\n", "err")


def test_a_chatty_child_does_not_block() -> None:
    """Far more than a pipe holds on both, stderr first."""
    done = execute.run(sh("head -c 3000000 /dev/zero >&2; head -c 3000000 /dev/zero"))
    assert done.code == 0
    assert len(done.stdout) == 3_000_000


def test_the_first_and_the_last_words_are_kept() -> None:
    done = execute.run(sh("seq 1 100000 >&2"))
    first, last = range(1, 41), range(99_961, 100_001)
    assert done.stderr.splitlines() == [str(number) for number in (*first, *last)]


def test_words_that_are_not_utf_8() -> None:
    assert execute.run(sh(r"printf '\377!' >&2")).stderr == "\N{REPLACEMENT CHARACTER}!"


def test_check_raises_with_the_tools_last_words() -> None:
    with pytest.raises(ToolFailed) as caught:
        execute.check(sh("printf 'one\ntwo\nthree\nfour\n' >&2; exit 7"))
    assert caught.value.message == "sh failed with exit code 7: two / three / four"


def test_an_error_that_is_followed_by_a_long_query() -> None:
    """As pg_restore does it."""
    query = "Command was: CREATE TABLE x (\\n    a int,\\n    b int\\n);"
    with pytest.raises(ToolFailed) as caught:
        execute.check(sh(f"printf 'warming up\nsh: error: x exists\n{query}\n' >&2; exit 1"))
    assert caught.value.message == "sh failed with exit code 1: sh: error: x exists"


# Recorded: pg_restore 15 with two workers.
_RESTORE_SAID = """\
pg_restore: while PROCESSING TOC:
pg_restore: from TOC entry 2222; 826 16390 DEFAULT ACL DEFAULT PRIVILEGES FOR TABLES harbor
pg_restore: error: could not execute query: ERROR:  must be member of role "harbor"
DETAIL:  only members of a role may act for it
HINT:  become one
Command was: ALTER DEFAULT PRIVILEGES FOR ROLE harbor IN SCHEMA public GRANT SELECT ON TABLES TO grafana;


pg_restore: error: a worker process died unexpectedly
"""


def test_the_servers_own_reason_is_told() -> None:
    """Not what followed from it, nor the query, however long that is."""
    for query in ("", "line of a query\n" * 1_000):
        said = _RESTORE_SAID.replace("\n\n\n", f"\n{query}")
        with pytest.raises(ToolFailed) as caught:
            execute.check(sh("cat >&2; exit 1"), stdin=said.encode())
        assert caught.value.message == (
            "sh failed with exit code 1: pg_restore: error: could not execute query: ERROR:  "
            'must be member of role "harbor" (DEFAULT ACL DEFAULT PRIVILEGES FOR TABLES harbor)'
            " / DETAIL:  only members of a role may act for it / HINT:  become one"
        )


def test_a_child_that_was_killed() -> None:
    with pytest.raises(ToolFailed) as caught:
        execute.check(sh("kill -KILL $$"))
    assert caught.value.message == "sh was killed by signal 9"


def test_a_missing_program() -> None:
    with pytest.raises(ToolMissing) as caught:
        execute.run(Command(("no-such-program", "--version")))
    assert caught.value.message == "no-such-program is not installed"
    assert caught.value.hint.startswith("install the package that brings no-such-program; it is not in /")


@pytest.mark.parametrize("path", [None, "", ":", "/nowhere"])
def test_a_system_without_a_path(monkeypatch: pytest.MonkeyPatch, path: str | None) -> None:
    """Cron has a short one or none; the system's own programs are found, and children find theirs."""
    monkeypatch.delenv("PATH")
    if path is not None:
        monkeypatch.setenv("PATH", path)
    assert "/usr/sbin" in command.search_path().split(":")
    if path == "/nowhere":
        assert command.which("sh") is None
        return
    assert execute.check(Command(("sh", "-c", "command -v setpriv"))).text.strip()


def test_a_missing_program_with_a_hint_of_its_own() -> None:
    with pytest.raises(ToolMissing) as caught:
        find_program("no-such-program", hint="get it somewhere")
    assert caught.value.hint == f"get it somewhere; it is not in {command.search_path()}"


def test_into_file(tmp_path: Path) -> None:
    with (tmp_path / "out").open("wb") as target:
        done = execute.into_file(sh("echo out; echo err >&2; exit 4"), target)
    assert done == Completed(4, b"", "err")
    assert (tmp_path / "out").read_bytes() == b"out\n"


def test_chunks() -> None:
    ends: list[Completed] = []
    pieces = list(execute.chunks(sh("head -c 2500000 /dev/zero"), ended=ends.append))
    assert sum(map(len, pieces)) == 2_500_000
    assert max(map(len, pieces)) <= 1 << 20
    assert ends == [Completed(0, b"", "")]


def test_small_pieces_come_together() -> None:
    lines = "i=0; while [ $i -lt 3000 ]; do echo $i; i=$((i+1)); done"
    pieces = list(execute.chunks(sh(lines), ended=lambda _: None))
    assert b"".join(pieces) == "".join(f"{number}\n" for number in range(3000)).encode()
    assert len(pieces) < 1000


def test_what_ended_raises_comes_out() -> None:
    command = sh("echo out; exit 5")

    def ended(done: Completed) -> None:
        raise failure(command, done)

    with pytest.raises(ToolFailed, match="exit code 5"):
        list(execute.lines(command, ended=ended))
    with pytest.raises(ToolFailed, match="exit code 5"):
        list(execute.chunks(command, ended=ended))


# Environment, user, place


def test_the_environment_is_clean(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPASSWORD", "hunter2")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    monkeypatch.setenv("TZ", "UTC")
    done = execute.run(Command(("env",), {"RESTIC_REPOSITORY": "/backup"}))
    seen = dict(line.split("=", 1) for line in done.text.splitlines())
    assert "hunter2" not in done.text
    assert {name: seen[name] for name in ("LC_ALL", "TZ", "RESTIC_REPOSITORY")} == {
        "LC_ALL": "C",
        "TZ": "UTC",
        "RESTIC_REPOSITORY": "/backup",
    }
    harmless = {"PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "SSH_AUTH_SOCK", "XDG_CONFIG_HOME"}
    assert set(seen) <= harmless | {"LC_ALL", "TZ", "RESTIC_REPOSITORY", "RCLONE_CONFIG"}


def test_where_it_runs(tmp_path: Path) -> None:
    assert execute.run(Command(("pwd",), directory=tmp_path)).text == f"{tmp_path}\n"


def test_root_becomes_another_user_without_any_group_of_ours() -> None:
    script = "id -un; id -gn; id -G"
    done = execute.run(Command(("sh", "-c", script), user="nobody"))
    if os.geteuid() == 0:
        user, group, groups = done.text.splitlines()
        assert user == "nobody"
        assert groups == str(grp.getgrnam(group).gr_gid)
    else:  # nobody else can, and it is not asked for
        assert done.text == execute.run(sh(script)).text


def test_a_user_who_is_not_there() -> None:
    command = Command(("true",), user="no-such-user")
    if os.geteuid() == 0:
        with pytest.raises(ConfigError) as caught:
            execute.run(command)
        assert caught.value.message == "there is no user no-such-user on this machine"
    else:
        assert execute.run(command).code == 0


# Feeding


def test_input_of_any_size() -> None:
    data = os.urandom(3_000_000)
    assert execute.run(Command(("cat",)), stdin=data).stdout == data


def test_a_child_that_does_not_listen() -> None:
    """It may be gone before, while or after we write: none of that is an error of ours."""
    for size in (1, 1, 1, 1_000_000, 1_000_000, 1_000_000):
        assert execute.run(Command(("true",)), stdin=b"x" * size).code == 0


def test_lines_come_while_input_is_still_fed() -> None:
    heard = threading.Event()

    def pieces() -> Iterator[bytes]:
        yield b"first\n" + b"x" * 100_000 + b"\n"
        assert heard.wait(60)
        yield b"second\n"

    found = []
    for line in execute.lines(Command(("cat",)), stdin=pieces(), ended=succeeded):
        found.append(line)
        heard.set()
    assert found == [b"first\n", b"x" * 100_000 + b"\n", b"second\n"]


class FeedError(Exception):
    """The source of a stream broke."""


@pytest.mark.parametrize("error", [FeedError, BrokenPipeError, ValueError, KeyboardInterrupt])
def test_a_feed_that_fails_kills_the_child_before_its_input_ends(
    tmp_path: Path, error: type[BaseException]
) -> None:
    """`cat` succeeds only if it sees an end: then the cut input would pass for a whole one."""

    def pieces() -> Iterator[bytes]:
        yield b"x" * 1_000_000
        raise error("broken")

    ends: list[Completed] = []
    command = sh('cat >"$WHERE/part" && mv "$WHERE/part" "$WHERE/whole"', WHERE=str(tmp_path))
    with pytest.raises(error, match="broken"):
        list(execute.lines(command, stdin=pieces(), ended=ends.append))
    assert ends == []
    assert not (tmp_path / "whole").exists()
    assert execute.run(sh("true")).code == 0


def test_a_child_that_leaves_while_it_is_fed_ends_by_its_own_code() -> None:
    def pieces() -> Iterator[bytes]:
        while True:
            yield b"x" * 100_000

    ends: list[Completed] = []
    list(execute.lines(sh("head -c 10 >&2; exit 9"), stdin=pieces(), ended=ends.append))
    assert ends == [Completed(9, b"", "x" * 10)]
