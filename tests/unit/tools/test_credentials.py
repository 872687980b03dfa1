"""Files of credentials, read."""

from __future__ import annotations

from pathlib import Path

import pytest

from drkit.errors import ConfigError
from drkit.tools.credentials import read_credentials


def test_credentials(tmp_path: Path) -> None:
    path = tmp_path / "env"
    path.write_text("# keys\n\nAWS_ACCESS_KEY_ID=id-1\nexport AWS_SECRET_ACCESS_KEY='a=b'\n")
    assert read_credentials(path) == {"AWS_ACCESS_KEY_ID": "id-1", "AWS_SECRET_ACCESS_KEY": "a=b"}
    assert read_credentials(None) == {}


@pytest.mark.parametrize("line", ["AWS_ACCESS_KEY_ID", "aws=1", "two words=1", "=1"])
def test_what_are_no_credentials(tmp_path: Path, line: str) -> None:
    path = tmp_path / "env"
    path.write_text(f"A=1\n{line}\n")
    with pytest.raises(ConfigError) as caught:
        read_credentials(path)
    assert caught.value.message == f"{path}, line 2: not KEY=value"


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "env"
    path.write_bytes(b"A=\xff\n")
    with pytest.raises(ConfigError) as caught:
        read_credentials(path)
    assert caught.value.message == f"cannot read the credentials file {path}: it is not text"
