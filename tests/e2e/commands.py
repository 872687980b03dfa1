"""drkit as its users meet it: a process with an exit code, what it says, and what it leaves behind."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

# Seconds; long, for tests hold on a busy machine.
PATIENCE = float(os.environ.get("DRKIT_TESTS_PATIENCE", "120"))
# Progress where no terminal is: a line every half minute, which only a very busy machine comes to see.
_PROGRESS = re.compile(r"[^:]+: (under way|[\d.,]+( [KMGT]?i?B| \w+)?( of .*)?)")


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    stdout: str
    stderr: str

    @property
    def envelope(self) -> dict[str, Any]:
        """The one JSON object on stdout, in its envelope."""
        found = json.loads(self.stdout)
        assert isinstance(found, dict)
        assert list(found) == ["schema", "command", "ok", "result", "error"]
        assert found["schema"] == 1
        assert self.stdout == self.stdout.strip() + "\n", "one line, one object"
        return found

    @property
    def result(self) -> Any:
        """The result of a command that went well."""
        assert self.code == 0, f"exit code {self.code}\n{self.stdout[-2000:]}\n{self.stderr[-2000:]}"
        assert (self.envelope["ok"], self.envelope["error"]) == (True, None)
        return self.envelope["result"]

    @property
    def error(self) -> dict[str, str]:
        """The error of a command that failed, from its envelope."""
        assert self.envelope["ok"] is False
        error = self.envelope["error"]
        more = ["disturbance"] if error["kind"] == "backup_incomplete" else []
        assert list(error) == ["kind", "message", "hint", *more]
        return dict(error)

    @property
    def said(self) -> list[str]:
        """The lines for a person, without those of progress."""
        return [line for line in self.stderr.splitlines() if not _PROGRESS.fullmatch(line)]

    @property
    def complaint(self) -> tuple[str, str]:
        """What a person reads: the `error:` line and the `hint:` line, each there once, and no traceback."""
        assert "Traceback" not in self.stderr, self.stderr
        lines = self.stderr.splitlines()
        errors = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
        hints = [line.removeprefix("hint: ") for line in lines if line.startswith("hint: ")]
        assert len(errors) == 1, self.stderr
        assert len(hints) <= 1, self.stderr
        return errors[0], hints[0] if hints else ""


@dataclass(frozen=True)
class Drkit:
    """A configured drkit; its home holds configuration, keys, state and repository."""

    home: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    # Words before the command, to run it as somebody else.
    prefix: tuple[str, ...] = ()
    python: str = sys.executable

    @property
    def config(self) -> Path:
        return self.home / "drkit.toml"

    @property
    def state(self) -> Path:
        return self.home / "state"

    @property
    def repository(self) -> Path:
        return self.home / "repo"

    @property
    def sandboxes(self) -> Path:
        return self.state / "sandbox"

    @property
    def restic_password(self) -> Path:
        return self.home / "restic.password"

    @property
    def identity(self) -> Path:
        return self.home / "drill.agekey"

    def in_environment(self, **more: str) -> Drkit:
        """The same with further environment variables."""
        return replace(self, environment={**self.environment, **more})

    def start(self, *words: str, config: Path | None = None) -> subprocess.Popen[str]:
        """Start a command; its outputs go to pipes, its input is nobody."""
        return subprocess.Popen(
            [*self.prefix, self.python, "-m", "drkit", "--config", str(config or self.config), *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd="/",
            env=self.surroundings,
            start_new_session=True,
        )

    def run(self, *words: str, config: Path | None = None) -> Ended:
        """Run a command to its end."""
        return finish(self.start(*words, config=config))

    def ask(self, *words: str) -> Any:
        """The result of a command that must go well, from its JSON."""
        return self.run(*words, "--json").result

    def points(self) -> list[dict[str, Any]]:
        """The recovery points, newest first."""
        found: list[dict[str, Any]] = self.ask("points")["points"]
        return found

    def sealed(self) -> list[str]:
        """The ids of the sealed points, newest first."""
        return [point["id"] for point in self.points() if point["status"] == "sealed"]

    def change(self, change: Callable[[dict[str, Any]], object]) -> Drkit:
        """Change the configuration file; returns self."""
        document = tomllib.loads(self.config.read_text())
        change(document)
        self.config.write_text(to_toml(document))
        return self

    def restic(self, *words: str) -> str:
        """What restic itself says of the repository."""
        environment = {
            **self.surroundings,
            "RESTIC_REPOSITORY": str(self.repository),
            "RESTIC_PASSWORD_FILE": str(self.restic_password),
        }
        done = subprocess.run(
            ["restic", "--no-cache", *words], env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    @property
    def surroundings(self) -> dict[str, str]:
        """The environment that its commands run in."""
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "LC_ALL": "C.UTF-8",
            **self.environment,
        }


def finish(process: subprocess.Popen[str]) -> Ended:
    """Wait for a command that was started."""
    try:
        stdout, stderr = process.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        # What it waits for can be seen now alone.
        columns = ("ps", "-e", "--forest", "-o", "pid,ppid,stat,etime,wchan:20,args")
        seen = subprocess.run(columns, capture_output=True, text=True, check=False).stdout
        os.killpg(process.pid, signal.SIGKILL)
        stdout, stderr = process.communicate()
        raise AssertionError(f"{process.args!r} does not end\n{stdout}\n{stderr}\n{seen}") from None
    return Ended(process.returncode, stdout, stderr)


def fails(
    drkit: Drkit,
    words: Sequence[str],
    code: int,
    kind: str,
    message: str,
    hint: str,
    *,
    config: Path | None = None,
) -> Ended:
    """Run a command that must fail, for a person and for a program at once; returns what the program got.

    `message` and `hint` are regular expressions for the whole sentence.
    """
    for_person, for_program = drkit.start(*words, config=config), drkit.start(*words, "--json", config=config)
    person, program = finish(for_person), finish(for_program)
    assert (person.code, program.code) == (code, code), f"{person}\n{program}"
    said = person.complaint
    assert_says(said[0], message)
    assert_says(said[1], hint)
    assert_error(program, kind, message, hint)
    return program


def assert_error(ended: Ended, kind: str, message: str, hint: str) -> None:
    """The error in the envelope is this one; `message` and `hint` are regular expressions."""
    assert "Traceback" not in ended.stderr
    error = ended.error
    assert error["kind"] == kind
    assert_says(error["message"], message)
    assert_says(error["hint"], hint)


def assert_says(said: str, pattern: str) -> None:
    """The whole sentence matches, and follows the grammar: one line, no full stop."""
    assert re.fullmatch(pattern, said), f"said    {said!r}\nwanted  {pattern!r}"
    assert "\n" not in said
    assert not said.endswith(".") or said.endswith("...")


def exactly(text: str) -> str:
    """A pattern for exactly this text."""
    return re.escape(text)


def to_toml(document: Mapping[str, Any]) -> str:
    """A configuration as TOML: tables, arrays of tables, and in them strings, numbers and lists."""
    lines: list[str] = []
    for name, section in document.items():
        tables, heading = ([section], f"[{name}]") if isinstance(section, dict) else (section, f"[[{name}]]")
        for table in tables:
            lines.append(heading)
            lines += [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in table.items()]
    return "\n".join(lines) + "\n"


def clone(original: Drkit, home: Path) -> Drkit:
    """A drkit of one's own with everything that the original has, the identity of its machine included."""
    shutil.copytree(original.home, home, symlinks=True)
    made = replace(original, home=home)
    made.config.write_text(made.config.read_text().replace(f"{original.home}/", f"{home}/"))
    return made


def wait_for(condition: Callable[[], object], what: str, seconds: float = PATIENCE) -> None:
    """Wait until something is true, looking often: the moment counts."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain until {what}"
        time.sleep(0.002)
