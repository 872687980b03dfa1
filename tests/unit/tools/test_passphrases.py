"""Identities sealed with a passphrase, by the programs that people seal them with, typed at a terminal."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from drkit.errors import ConfigError
from drkit.tools import age, passphrases
from tests import needs

PASSPHRASE = "correct horse battery staple"


def at_a_terminal(command: list[str], answers: list[str]) -> tuple[int, str]:
    """Run a program with a terminal of its own, and type an answer at each question."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(command[0], command)
    said = b""
    pending = list(answers)
    while True:
        try:
            piece = os.read(terminal, 4096)
        except OSError:
            break
        if not piece:
            break
        said += piece
        if pending and said.rstrip().endswith(b":"):
            os.write(terminal, pending.pop(0).encode() + b"\n")
            said += b"\n"
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), said.decode()


@pytest.fixture(scope="module", params=["age", "age, in text", "ed25519", "rsa"])
def sealed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A key file sealed with the passphrase, and its recipient."""
    directory = tmp_path_factory.mktemp("sealed")
    path = directory / "key"
    if request.param.startswith("age"):
        plain = directory / "plain"
        subprocess.run([needs.program("age-keygen"), "-o", plain], check=True, capture_output=True)
        recipient = subprocess.run(
            [needs.program("age-keygen"), "-y", plain], check=True, capture_output=True, text=True
        ).stdout
        armor = ["-a"] if "text" in request.param else []
        command = [needs.program("age"), "-p", *armor, "-o", str(path), str(plain)]
        code, said = at_a_terminal(command, [PASSPHRASE, PASSPHRASE])
        assert code == 0, said
        return path, recipient.strip()
    options = ["-b", "2048"] if request.param == "rsa" else []
    command = [needs.program("ssh-keygen"), "-q", "-t", request.param, *options, "-f", str(path)]
    subprocess.run([*command, "-N", PASSPHRASE], check=True)
    return path, path.with_suffix(".pub").read_text().strip()


READ = (
    "import sys; from pathlib import Path; from drkit.tools import age\n"
    "data = Path(sys.argv[2]).read_bytes()\n"
    "print(age.decrypt(data, age.read_identities(Path(sys.argv[1]))).decode())"
)


@pytest.mark.slow
def test_it_is_asked_for_and_not_shown(sealed: tuple[Path, str], tmp_path: Path) -> None:
    path, recipient = sealed
    bundle = tmp_path / "bundle"
    bundle.write_bytes(age.encrypt(b"the bundle", [recipient]))
    command = [sys.executable, "-c", READ, str(path), str(bundle)]
    code, said = at_a_terminal(command, [PASSPHRASE])
    assert code == 0, said
    assert f"Passphrase of {path}: " in said
    assert "the bundle" in said
    assert PASSPHRASE not in said


def test_a_wrong_one(sealed: tuple[Path, str]) -> None:
    path, _ = sealed
    assert passphrases.needed(path.read_bytes())
    with pytest.raises(ConfigError) as caught:
        passphrases.unsealed(path.read_bytes(), "another", str(path))
    assert caught.value.message == f"{path} does not open with this passphrase"
    assert caught.value.hint == "type it again; nothing was changed"


def test_without_a_terminal(sealed: tuple[Path, str]) -> None:
    path, _ = sealed
    program = (
        "import sys; from pathlib import Path\n"
        "from drkit.tools import age; from drkit.errors import ConfigError\n"
        "try: age.read_identities(Path(sys.argv[1]))\n"
        "except ConfigError as error: print(error.message)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, path],
        check=True,
        capture_output=True,
        text=True,
        start_new_session=True,
    )
    assert done.stdout == f"{path} is protected by a passphrase, and there is no terminal to ask for it\n"


def test_what_needs_none() -> None:
    secret, _ = age.generate()
    assert not passphrases.needed(secret.encode())
    assert not passphrases.needed(b"")


@pytest.mark.parametrize(
    "data", [b"age-encryption.org/v1\n-> X", b"-----BEGIN AGE ENCRYPTED FILE-----\n!!\n"]
)
def test_what_is_cut(data: bytes) -> None:
    with pytest.raises(ConfigError, match="does not open with this passphrase"):
        passphrases.unsealed(data, PASSPHRASE, "a file")
