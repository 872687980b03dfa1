"""Exit codes and kinds are public: scripts and monitoring read them."""

from __future__ import annotations

import errno
from collections.abc import Iterator

import pytest

from drkit import errors
from drkit.errors import DrkitError, Failure

PUBLIC = {
    "bug": 1,
    "usage_error": 2,
    "target_not_empty": 2,
    "backup_incomplete": 3,
    "config_error": 4,
    "identity_refused": 4,
    "not_supported": 4,
    "shares_refused": 4,
    "no_such_image": 4,
    "no_such_point": 4,
    "drill_failed": 5,
    "not_green": 5,
    "objective_missed": 5,
    "drill_error": 6,
    "tool_failed": 7,
    "tool_missing": 7,
    "tool_too_old": 7,
    "docker_lacks": 7,
    "core_refuses": 7,
    "database_forbids": 7,
    "database_unreachable": 7,
    "database_busy": 7,
    "not_served": 7,
    "registry_refused": 7,
    "registry_unreachable": 7,
    "manifest_missing": 7,
    "bucket_failed": 7,
    "bucket_missing": 7,
    "bucket_refused": 7,
    "object_missing": 7,
    "wrong_bytes": 7,
    "not_deleted": 7,
    "not_removed": 7,
    "restore_damaged": 7,
    "repository_damaged": 7,
    "points_missing": 7,
    "no_space": 7,
    "target_unfit": 7,
    "source_changed": 7,
    "cannot_freeze": 7,
    "not_ours": 7,
    "no_such_drill": 4,
    "report_altered": 5,
    "cluster_unreachable": 7,
    "cluster_failed": 7,
    "hook_failed": 7,
    "site_locked": 7,
    "vault_damaged": 7,
    "repository_missing": 10,
    "repository_locked": 11,
    "repository_refused": 12,
    "took_too_long": 124,
    "interrupted": 130,
}


def all_below(kind: type[DrkitError]) -> Iterator[type[DrkitError]]:
    for child in kind.__subclasses__():
        # Nothing raises this one itself.
        if child is not Failure:
            yield child
        yield from all_below(child)


def test_every_error_has_its_public_code() -> None:
    assert {kind("x").kind: kind.exit_code for kind in all_below(DrkitError)} == PUBLIC


def test_every_error_stands_in_the_one_file() -> None:
    assert {kind.__module__ for kind in all_below(DrkitError)} == {"drkit.errors"}


@pytest.mark.parametrize("kind", list(all_below(DrkitError)))
def test_the_tree_in_the_docstring_is_the_real_one(kind: type[DrkitError]) -> None:
    text = errors.__doc__ or ""
    (line,) = (line for line in text.splitlines() if line.split()[-2:-1] == [kind.__name__])
    assert line.split()[-1] == str(kind.exit_code)
    depth = len(kind.__mro__) - len(DrkitError.__mro__)
    assert line.index(kind.__name__) == 4 + 4 * depth


def test_an_error_carries_its_sentence_and_its_hint() -> None:
    error = errors.ToolMissing("restic is not installed", hint="install it")
    assert (error.message, error.hint, str(error)) == (
        "restic is not installed",
        "install it",
        "restic is not installed",
    )
    assert errors.ToolMissing("restic is not installed").hint == ""


def test_a_bug_is_1() -> None:
    assert DrkitError.exit_code == 1


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ENOSPC, "no_space"),
        (errno.EDQUOT, "no_space"),
        (errno.EROFS, "config_error"),
        (errno.EACCES, "config_error"),
        (errno.EIO, "tool_failed"),
    ],
)
def test_what_the_system_refuses_is_no_bug(number: int, kind: str) -> None:
    known = errors.of_system(OSError(number, "so", "/var/lib/drkit/x"))
    assert known is not None
    assert known.kind == kind
    assert known.message.endswith(" for /var/lib/drkit/x: so")
    assert known.hint


def test_a_file_that_is_not_there_is_a_bug() -> None:
    assert errors.of_system(FileNotFoundError(errno.ENOENT, "so", "/x")) is None
