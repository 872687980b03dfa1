"""What became of the secrets between two points, told by keyed fingerprints."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from drkit.errors import ConfigError
from drkit.logs import redact
from drkit.model import PointManifest, SecretFile
from drkit.secrets.changes import compare, sentences
from drkit.secrets.fingerprints import FingerprintKey, load
from drkit.state.directory import State

NOW = datetime(2026, 11, 24, tzinfo=UTC)
KEY = FingerprintKey(bytes(range(32)))
OTHER = FingerprintKey(bytes(32))
PLACE = "/data/secret/keys/secretkey"


def listed(
    files: dict[str, bytes], key: FingerprintKey = KEY, what: dict[str, str] | None = None
) -> PointManifest:
    kinds = {PLACE: "secret key", "/tls/ca.crt": "CA certificate", **(what or {})}
    return PointManifest(
        id="20261124-020000-aaaaaa",
        site="registry",
        started_at=NOW,
        consistent_at=NOW,
        finished_at=NOW,
        parts=(),
        databases=(),
        closure=None,
        blobs_root=None,
        secret_files=tuple(
            SecretFile(path, len(data), kinds.get(path, "file"), key.of(path, data))
            for path, data in files.items()
        ),
        recipients=(),
        digest_count=0,
        versions={},
        host="a",
        fingerprint_key=key.id,
    )


BEFORE = {PLACE: b"naa4JtarA1Zsc3uY", "/tls/ca.crt": b"ca one", "/tls/x": b"one", "/tls/y": b"same"}


def said(after: dict[str, bytes], key: FingerprintKey = KEY) -> list[str]:
    before, now = listed(BEFORE), listed(after, key)
    return list(sentences(compare(before, now.secret_files, now.fingerprint_key), before.id))


def test_nothing_changed() -> None:
    assert said(BEFORE) == []


def test_files_that_went_came_and_changed() -> None:
    after = {**BEFORE, "/tls/x": b"two", "/tls/z": b"new"}
    del after["/tls/y"]
    assert said(after) == [
        "secret files gone since point 20261124-020000-aaaaaa: /tls/y",
        "secret files new since point 20261124-020000-aaaaaa: /tls/z",
        "secret files changed since point 20261124-020000-aaaaaa: /tls/x",
    ]


def test_a_secret_key_of_the_same_length_is_a_problem() -> None:
    assert said({**BEFORE, PLACE: b"a-new-secret-key"}) == [
        f"the secret key {PLACE} is another one since point 20261124-020000-aaaaaa: "
        "what Harbor encrypted before cannot be decrypted with a new one"
    ]


def test_an_authority_that_changed_or_is_gone_is_a_problem() -> None:
    changed = said({**BEFORE, "/tls/ca.crt": b"ca two"})
    assert changed == [
        "the CA certificate /tls/ca.crt is another one since point 20261124-020000-aaaaaa: "
        "certificates that it issued are not trusted with a new one, unless that has the same key"
    ]
    gone = said({path: data for path, data in BEFORE.items() if path != "/tls/ca.crt"})
    assert gone == [changed[0].replace("is another one", "is gone")]


def test_a_key_that_others_may_read_from_now_on() -> None:
    """The same content with another mode or owner; nothing is said of a point without them."""

    def with_rights(rights: str) -> PointManifest:
        made = listed(BEFORE)
        return replace(
            made, secret_files=tuple(replace(file, rights=rights) for file in made.secret_files[:1])
        )

    before, after = with_rights("0600 10000:10000"), with_rights("0644 10000:0")
    found = list(sentences(compare(before, after.secret_files, KEY.id), "p"))
    was = f"{PLACE} (was 0600 10000:10000, is 0644 10000:0)"
    assert found == [f"secret files whose mode or owner changed since point p: {was}"]
    assert not list(sentences(compare(before, before.secret_files, KEY.id), "p"))
    assert not list(sentences(compare(with_rights(""), after.secret_files, KEY.id), "p"))


def test_another_machines_fingerprints_tell_nothing_and_that_is_said() -> None:
    found = said({**BEFORE, "/tls/x": b"two"}, OTHER)
    assert len(found) == 1
    assert found[0].startswith(
        "whether secret files changed since point 20261124-020000-aaaaaa cannot be told"
    )
    # What is longer or gone is another one whoever looks.
    assert said({**BEFORE, PLACE: b"longer than it was"}, OTHER)[0].startswith(f"the secret key {PLACE} is")


def test_a_point_of_an_older_drkit() -> None:
    old = replace(
        listed(BEFORE),
        secret_files=tuple(SecretFile(p, len(d)) for p, d in BEFORE.items()),
        fingerprint_key="",
    )
    after = {path: data for path, data in BEFORE.items() if path != PLACE}
    found = list(sentences(compare(old, listed(after).secret_files, KEY.id), "old"))
    assert found[0].startswith(f"the file {PLACE} is gone since point old")
    assert found[1].startswith("whether secret files changed since point old cannot be told")


# The key


def test_a_fingerprint_cannot_be_guessed_at() -> None:
    """The secret key's own hash is nowhere, and the same content at another place has another fingerprint."""
    secret = BEFORE[PLACE]
    found = KEY.of(PLACE, secret)
    assert found != OTHER.of(PLACE, secret)
    assert found != KEY.of("/elsewhere", secret)
    assert found != hashlib.sha256(secret).hexdigest()
    assert KEY.of("/a", b"bc") != KEY.of("/ab", b"c")
    assert KEY.secret.hex() not in KEY.id


def test_the_key_is_made_once_and_private(tmp_path: Path) -> None:
    first = load(State(tmp_path))
    path = tmp_path / "fingerprint.key"
    assert path.stat().st_mode & 0o777 == 0o600
    assert load(State(tmp_path)) == first
    assert len(first.secret) == 32
    assert redact(f"it is {first.secret.hex()}") == "it is ***"
    assert [each.name for each in tmp_path.iterdir()] == ["fingerprint.key"]


@pytest.mark.parametrize("text", ["", "no hex", "abcd"])
def test_a_key_file_that_holds_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "fingerprint.key").write_text(text)
    with pytest.raises(ConfigError) as caught:
        load(State(tmp_path))
    assert caught.value.hint == "remove it: a new one is made by the next backup"
