"""The audit trail: what is written, and what is noticed of it."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from drkit.logs import register_secret
from drkit.model.trail import CONFIRMED, Checked, TrailEntry, TrailHead, against, line_of, parse
from drkit.state import trail

AT = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "locks").mkdir()
    return tmp_path


def add(root: Path, verb: str = "backup", **more: object) -> TrailHead:
    return trail.append(root, trail.entry(verb, "began", "run", "m1", **more))


def filled(root: Path, count: int = 5) -> list[bytes]:
    for _ in range(count):
        add(root)
    return (root / "trail.jsonl").read_bytes().splitlines(keepends=True)


def faults(root: Path) -> list[tuple[str, str]]:
    return [(fault.place, fault.said) for fault in trail.read(root, 500).faults]


def test_entries_follow_from_one_another(root: Path) -> None:
    filled(root, 3)
    head = add(root, "restore", arguments=("restore", "latest"))
    found = trail.read(root, 500)
    assert [entry.number for entry in found.entries] == [1, 2, 3, 4]
    assert found.faults == ()
    assert (found.hashes[4], found.last and found.last.arguments) == (head.hash, ("restore", "latest"))
    assert trail.head(root, "m1") == head
    assert trail.tail(root, 2) == b"".join((root / "trail.jsonl").read_bytes().splitlines(keepends=True)[-2:])
    assert (root / "trail.jsonl").stat().st_mode & 0o777 == 0o600
    (who,) = {entry.who["user"] for entry in found.entries}
    assert who


def test_a_line_that_was_edited_is_found_and_where(root: Path) -> None:
    lines = filled(root)
    lines[2] = lines[2].replace(b'"verb":"backup"', b'"verb":"status"')
    (root / "trail.jsonl").write_bytes(b"".join(lines))
    (fault,) = faults(root)
    assert fault == (
        "trail.jsonl:4",
        "entry 4 does not follow from what stands before it: that was changed",
    )
    head = add(root)
    assert len(faults(root)) == 1, "what follows is bound to what stands there now"
    assert head.number == 6


def test_lines_that_are_gone_are_found(root: Path) -> None:
    lines = filled(root)
    (root / "trail.jsonl").write_bytes(b"".join(lines[:1] + lines[3:]))
    (fault,) = faults(root)
    assert fault == ("trail.jsonl:2", "entry 4 stands after entry 1: what was between them is gone")


def test_what_is_no_entry_is_found(root: Path) -> None:
    lines = filled(root)
    odd = [b"\0\0\0\n", b'{"at":1}\n', b"[]\n", b'{"previous":"x"}\n']
    (root / "trail.jsonl").write_bytes(b"".join(lines[:2] + odd + lines[2:]))
    assert faults(root) == [(f"trail.jsonl:{number}", "this is no entry") for number in (3, 4, 5, 6)]


@pytest.mark.parametrize("cut", [1, 2, 40, 150])
def test_a_line_that_was_cut_off_is_noted_and_no_fault(root: Path, cut: int) -> None:
    """At any place: with only its end gone it is an entry still."""
    lines = filled(root)
    file = root / "trail.jsonl"
    file.write_bytes(b"".join(lines)[:-cut])
    assert faults(root) == []
    assert bool(trail.read(root, 500).torn) == (cut > 1)
    add(root, "restore")
    found = trail.read(root, 500)
    assert found.faults == ()
    assert [(e.number, e.verb) for e in found.entries[4:]] == (
        [(5, "backup"), (6, "restore")] if cut == 1 else [(5, "gap"), (6, "restore")]
    )
    assert file.read_bytes().startswith(b"".join(lines)[:-cut]), "nothing of it is taken away"


def test_a_gap_cannot_be_made_up_for_another_line(root: Path) -> None:
    lines = filled(root)
    file = root / "trail.jsonl"
    file.write_bytes(b"".join(lines)[:-40])
    add(root)
    file.write_bytes(file.read_bytes().replace(b'"run"', b'"RUN"', 1))
    assert faults(root)


def test_a_large_file_is_put_aside_and_the_chain_goes_on(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = tuple("x" * 300 for _ in range(40))
    while not list(root.glob("trail-*.jsonl")):
        for _ in range(50):
            add(root, arguments=words)
    add(root)
    older, newest = trail.files(root)
    assert older.name == "trail-000000000001.jsonl"
    found = trail.read(root, 500)
    assert found.faults == ()
    older.unlink()
    later = trail.read(root, 500)
    assert later.faults == (), "the oldest may be put elsewhere"
    assert later.entries[0].number > 300
    newest.unlink()
    assert add(root).number == 1


def test_several_at_once_make_one_chain(root: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from drkit.state import trail;"
        "[trail.append(Path(sys.argv[1]), trail.entry('copy', 'began', 'r', 'm')) for _ in range(40)]"
    )
    many = [subprocess.Popen([sys.executable, "-c", script, str(root)]) for _ in range(3)]
    assert [each.wait() for each in many] == [0, 0, 0]
    found = trail.read(root, 500)
    assert (len(found.entries), found.faults) == (120, ())


def test_no_secret_stands_in_it(root: Path) -> None:
    register_secret("hunter2hunter2")
    said = trail.words(
        ["restore", "--database-dsn", "host=db password=xyzzy user=u", "hunter2hunter2", "\udcff" * 400]
    )
    assert said[:4] == ("restore", "--database-dsn", "host=db password=*** user=u", "***")
    assert len(said[4]) == 300
    add(root, arguments=said)
    assert trail.read(root, 500).faults == ()


@pytest.mark.parametrize(
    ("word", "shown"),
    [
        (r"password='a\'b c' user=u", "password=*** user=u"),
        (r"password=a\ b user=u", "password=*** user=u"),
        ("sslpassword = 'never closed", "sslpassword = ***"),
        ("rest:https://u:p@ss@h/x", "rest:https://u:***@h/x"),
        ("postgresql://u:p@h/db?password=x&sslmode=require", "postgresql://u:***@h/db?password=***"),
    ],
)
def test_nor_a_password_that_is_quoted_or_odd(word: str, shown: str) -> None:
    assert trail.words([word]) == (shown,)


def test_a_line_is_never_too_long_to_be_found_again(root: Path) -> None:
    add(root, arguments=trail.words(["\N{GRINNING FACE}" * 400] * 60))
    trail.append(root, trail.entry(CONFIRMED, "succeeded", "", "m1", arguments=("a fault" * 30,) * 1000))
    assert add(root).number == 3
    found = trail.read(root, 500)
    assert found.faults == ()
    assert found.entries[1].arguments[0].startswith("a fault")


def test_of_a_long_trail_only_the_newest_entries_are_kept(root: Path) -> None:
    filled(root, 7)
    found = trail.read(root, 2)
    assert ([each.number for each in found.entries], found.total, found.first) == ([6, 7], 7, 1)
    assert trail.read(root, 0).entries == ()


@pytest.mark.parametrize(
    "line",
    [
        b"[" * 100_000,
        b'{"previous":"x","number":1,"at":"2026-01-01T00:00:00","verb":"b"}',
        b'{"previous":"x","number":1,"at":"2026-01-01T00:00:00Z","verb":"b","arguments":[1]}',
        b'{"previous":"x","number":1,"at":"2026-01-01T00:00:00Z","verb":"b","who":{"user":1}}',
        b'{"previous":"x","number":true,"at":"2026-01-01T00:00:00Z","verb":"b"}',
    ],
)
def test_what_somebody_else_has_put_there_is_no_entry(line: bytes) -> None:
    assert parse(line) is None


# What recovery points have seen


def seen(root: Path, number: int) -> TrailHead:
    return TrailHead("m1", number, trail.read(root, 500).hashes[number])


def said(checked: Checked, *heads: TrailHead) -> list[tuple[str, bool]]:
    return [(fault.said, fault.confirmed) for fault in against(checked, [("P", AT, head) for head in heads])]


def test_a_trail_that_was_cut_off_or_written_anew_is_found_by_what_points_have_seen(root: Path) -> None:
    lines = filled(root)
    third, last = seen(root, 3), seen(root, 5)
    assert said(trail.read(root, 500), third, last) == []
    (root / "trail.jsonl").write_bytes(b"".join(lines[:4]))
    assert said(trail.read(root, 500), third, last) == [
        ("entry 5, which point P has seen, is not in it", False)
    ]
    (root / "trail.jsonl").unlink()
    assert said(trail.read(root, 500), last) == [("entry 5, which point P has seen, is not in it", False)]
    filled(root)
    assert faults(root) == []
    assert said(trail.read(root, 500), third) == [("entry 3 is another one than point P has seen", False)]


def test_one_written_anew_with_a_high_number_hides_nothing(root: Path) -> None:
    filled(root)
    third, last = seen(root, 3), seen(root, 5)
    (root / "trail.jsonl").write_bytes(
        line_of(trail.entry("x", "began", "r", "m1", number=900), "f" * 64) + b"\n"
    )
    add(root)
    found = trail.read(root, 500)
    assert found.faults == ()
    earlier = AT - timedelta(days=1)
    (fault,) = against(found, [("O", earlier, third), ("P", AT, last)])
    assert fault.said == "entry 5, which point P has seen, is not in it: it begins with entry 900"
    assert against(found, [("O", earlier, third), ("P", AT, seen(root, 901))]) == (), "put elsewhere"


def test_what_somebody_has_confirmed_is_known(root: Path) -> None:
    lines = filled(root)
    last = seen(root, 5)
    (root / "trail.jsonl").write_bytes(b"".join(lines[:1] + lines[2:4]))
    trail.append(root, trail.entry(CONFIRMED, "succeeded", "", "m1"))
    found = trail.read(root, 500)
    assert [fault.confirmed for fault in found.faults] == [True]
    assert [confirmed for _, confirmed in said(found, last)] == [True]


def test_the_form_of_a_line_is_fixed() -> None:
    entry = TrailEntry(7, "2026-11-30T03:00:00.000+00:00", "backup", "began", "r", "h", "m", {"user": "root"})
    line = line_of(entry, "0" * 64)
    assert json.loads(line)["previous"] == "0" * 64
    assert line == (
        b'{"at":"2026-11-30T03:00:00.000+00:00","host":"h","machine":"m","number":7,"outcome":"began",'
        b'"previous":"' + b"0" * 64 + b'","run":"r","verb":"backup","who":{"user":"root"}}'
    )
