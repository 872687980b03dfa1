"""age by pyrage, against the `age` program itself."""

from __future__ import annotations

import os
import subprocess
import threading
from dataclasses import dataclass
from pathlib import Path

import pytest

from drkit.errors import ConfigError, IdentityRefused, RestoreDamaged
from drkit.logs import redact
from drkit.tools import age
from drkit.tools.recipient import Named, named
from tests import needs

DATA = os.urandom(200_000)


@dataclass(frozen=True)
class Pair:
    """A key pair that a program made: the file with the identity, and the recipient."""

    identity: Path
    recipient: str


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Pair]:
    """One of each kind, by the programs that people use."""
    directory = tmp_path_factory.mktemp("keys")
    path = directory / "age"
    run(needs.program("age-keygen"), "-o", str(path))
    found = {"age": Pair(path, run(needs.program("age-keygen"), "-y", str(path)).decode().strip())}
    for kind, options in (("ed25519", ()), ("rsa", ("-b", "2048"))):
        path = directory / kind
        run(needs.program("ssh-keygen"), "-q", "-t", kind, *options, "-N", "", "-f", str(path))
        found[kind] = Pair(path, path.with_suffix(".pub").read_text().strip())
    return found


def run(*arguments: str, stdin: bytes = b"") -> bytes:
    return subprocess.run(arguments, input=stdin, capture_output=True, check=True).stdout


KINDS = ["age", "ed25519", "rsa"]


@pytest.mark.parametrize("kind", KINDS)
def test_what_drkit_encrypts_the_program_opens(pairs: dict[str, Pair], kind: str) -> None:
    sealed = age.encrypt(DATA, [pairs[kind].recipient])
    assert run(needs.program("age"), "-d", "-i", str(pairs[kind].identity), stdin=sealed) == DATA


@pytest.mark.parametrize("kind", KINDS)
def test_what_the_program_encrypts_drkit_opens(pairs: dict[str, Pair], kind: str) -> None:
    sealed = run(needs.program("age"), "-r", pairs[kind].recipient, stdin=DATA)
    assert age.decrypt(sealed, age.read_identities(pairs[kind].identity)) == DATA


@pytest.mark.parametrize("kind", KINDS)
def test_any_of_several_recipients_opens(pairs: dict[str, Pair], kind: str) -> None:
    sealed = age.encrypt(DATA, [pair.recipient for pair in pairs.values()])
    assert age.decrypt(sealed, age.read_identities(pairs[kind].identity)) == DATA


@pytest.mark.parametrize("kind", KINDS)
def test_a_strangers_identity_is_refused(pairs: dict[str, Pair], kind: str) -> None:
    secret, recipient = age.generate()
    sealed = age.encrypt(DATA, [recipient])
    with pytest.raises(IdentityRefused) as caught:
        age.decrypt(sealed, age.read_identities(pairs[kind].identity))
    assert caught.value.message == "no age identity at hand opens the secrets bundle"
    assert age.decrypt(sealed, age.parse_identities(secret.encode(), "a test")) == DATA


def test_no_identity_at_all_is_refused() -> None:
    _, recipient = age.generate()
    with pytest.raises(IdentityRefused):
        age.decrypt(age.encrypt(b"x", [recipient]), [])


def test_cut_or_altered_data_is_damaged() -> None:
    secret, recipient = age.generate()
    identities = age.parse_identities(secret.encode(), "a test")
    data = b"x" * 100
    sealed = age.encrypt(data, [recipient])
    cuts = [sealed[:size] for size in range(0, len(sealed), 7)]
    flips = [altered(sealed, place) for place in range(0, len(sealed), 7)]
    for damaged in [*cuts, *flips, sealed + b"x"]:
        with pytest.raises((RestoreDamaged, IdentityRefused)):
            age.decrypt(damaged, identities)
    # What stands behind the header is not a question of identities.
    for damaged in (sealed[:-1], altered(sealed, len(sealed) - 1), sealed[:-100]):
        with pytest.raises(RestoreDamaged, match="the secrets bundle is damaged"):
            age.decrypt(damaged, identities)


def altered(data: bytes, place: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


@pytest.mark.parametrize("data", [b"", b"no age file", b"age-encryption.org/v1\n", b"\x00" * 100])
def test_what_is_no_age_file(data: bytes) -> None:
    secret, _ = age.generate()
    with pytest.raises(RestoreDamaged):
        age.decrypt(data, age.parse_identities(secret.encode(), "a test"))


def test_a_generated_pair() -> None:
    secret, recipient = age.generate()
    identities = age.parse_identities(f"# created: today\n\n{secret}\n".encode(), "a test")
    assert age.recipients_of(identities) == [recipient]
    assert redact(f"the key is {secret}") == "the key is ***"


def test_an_ssh_key_does_not_tell_its_recipient(pairs: dict[str, Pair]) -> None:
    assert age.recipients_of(age.read_identities(pairs["ed25519"].identity)) == []


def test_several_identities_in_one_file(tmp_path: Path) -> None:
    (first, _), (second, recipient) = age.generate(), age.generate()
    path = tmp_path / "keys"
    path.write_text(f"{first}\n# the other\n{second}\n")
    assert age.decrypt(age.encrypt(b"x", [recipient]), age.read_identities(path)) == b"x"


def test_identities_that_were_read_are_secrets(pairs: dict[str, Pair]) -> None:
    age.read_identities(pairs["age"].identity)
    secret = pairs["age"].identity.read_text().splitlines()[-1]
    assert secret.startswith("AGE-SECRET-KEY-")
    assert redact(f"found {secret} here") == "found *** here"


HINT = "it is a file made by `age-keygen`, or an SSH private key without a passphrase"


@pytest.mark.parametrize("data", [b"", b"# nothing\n", b"\xff", b"AGE-SECRET-KEY-1ABC\n", b"age1abc"])
def test_a_file_without_an_identity(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "key"
    path.write_bytes(data)
    with pytest.raises(ConfigError) as caught:
        age.read_identities(path)
    assert caught.value.message == f"{path} holds no age identity"
    assert caught.value.hint == HINT


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        age.read_identities(tmp_path / "none")
    assert caught.value.message == f"cannot read the age identity {tmp_path}/none: No such file or directory"
    assert caught.value.hint == "see identity_file, or --identity FILE"


@pytest.mark.parametrize("text", ["", "age1abc", "ssh-ed25519 AAAA", "ssh-dss AAAA", "me@example.com"])
def test_what_is_no_recipient(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        age.encrypt(b"x", [age.generate()[1], text])
    assert caught.value.message == f"not an age recipient: {text!r}"
    assert caught.value.hint == (
        "it starts with age1, ssh-ed25519 or ssh-rsa; `age-keygen -y KEYFILE` prints it"
    )


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("age1pq1x26k2vrq5pa4j5he4q3fp5y4scggjezv8xcl3qgaex operator", "post-quantum keys"),
        ("age1yubikey1qwt50d05nh5vutpdzmlg5wn80xq5negm4uj9ghv0snvdd3yysf5yw3rhl3t", "the kind age1yubikey1"),
    ],
)
def test_a_recipient_of_a_kind_that_pyrage_lacks_is_named_as_such(text: str, kind: str) -> None:
    with pytest.raises(ConfigError) as caught:
        age.parse_recipients([text])
    assert caught.value.message == f"recipients of {kind} are not supported: {text!r}"
    assert caught.value.hint == "use an X25519 key (`age-keygen`) or an SSH key"


def test_a_private_key_among_the_recipients_is_not_repeated() -> None:
    secret, _ = age.generate()
    with pytest.raises(ConfigError) as caught:
        age.parse_recipients([secret])
    assert caught.value.message == (
        "not an age recipient: this is an identity (a private key), and a public key is needed"
    )


def test_a_name_after_the_key() -> None:
    secret, recipient = age.generate()
    assert named(f"{recipient} drill host") == Named(recipient, "x25519", "drill host")
    assert named("ssh-rsa AAAA me@home (old)") == Named("ssh-rsa AAAA", "ssh-rsa", "me@home (old)")
    assert named("") == Named("", "x25519", "")
    identities = age.parse_identities(secret.encode(), "a test")
    assert age.decrypt(age.encrypt(DATA, [f"{recipient} operator"]), identities) == DATA
    assert age.opens(f"{recipient} operator", identities)
    assert not age.opens(age.generate()[1], identities)
    with pytest.raises(ConfigError):
        age.parse_recipients([f"{recipient} two\nlines"])


def test_a_header_tells_for_how_many_it_is(pairs: dict[str, Pair]) -> None:
    recipients = [pair.recipient for pair in pairs.values()]
    for count in range(1, 4):
        for _ in range(5):  # noise is there by chance
            assert age.count_recipients(age.encrypt(DATA, recipients[:count])) == count
    by_program = run(needs.program("age"), "-r", recipients[0], "-r", recipients[1], stdin=DATA)
    assert age.count_recipients(by_program) == 2


def test_an_identity_that_comes_through_a_pipe_is_there_for_all_who_ask(tmp_path: Path) -> None:
    """A plan asks for it, and then the doing: nobody writes a pipe twice."""
    line, recipient = age.generate()
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writing = threading.Thread(target=pipe.write_text, args=(line,))
    writing.start()
    found = age.read_identities(pipe)
    writing.join()
    assert age.recipients_of(age.read_identities(pipe)) == age.recipients_of(found) == [recipient]
