"""The README says what the command line does: every verb, every option that matters, every exit code."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from drkit import config, errors
from drkit.config.explain import sections_in
from tests.unit.test_errors import all_below

README = (Path(__file__).parents[2] / "README.md").read_text()


def help_of(*words: str) -> str:
    command = [sys.executable, "-m", "drkit", *words, "--help"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def verbs() -> list[str]:
    listed = help_of().partition("Commands:")[2]
    return re.findall(r"^  ([a-z]+) ", listed, re.MULTILINE)


def test_there_are_verbs() -> None:
    assert {"init", "backup", "drill", "restore"} <= set(verbs())


@pytest.mark.parametrize("verb", verbs())
def test_every_verb_is_documented(verb: str) -> None:
    assert re.search(rf"^\| `{verb}\b|^\| `[^|]*`{verb}\b", README, re.MULTILINE)
    assert help_of(verb).startswith("Usage: ")


@pytest.mark.parametrize("code", sorted({kind.exit_code for kind in all_below(errors.DrkitError)} | {0, 1}))
def test_every_exit_code_is_documented(code: int) -> None:
    assert re.search(rf"^\| (\d+, )*{code}(, \d+)* \|", README, re.MULTILINE)


def test_every_key_of_the_configuration_is_documented() -> None:
    for name, field in config.Config.model_fields.items():
        title = field.alias or name
        sections = list(sections_in(field.annotation))
        assert sections
        found = re.search(rf"^\| `\[+{title}\]+` \| (.*) \|$", README, re.MULTILINE)
        assert found, f"[{title}] is not in the README"
        keys = [key for section in sections for key in section.model_fields]
        missing = [key for key in keys if f"`{key}`" not in found[1]]
        assert not missing, f"[{title}] {missing}"
