"""[cluster], and `--cluster`."""

from __future__ import annotations

from pathlib import Path

import pytest

from drkit.config import Config, parse_config
from drkit.errors import ConfigError, UsageError
from tests.unit.config.test_config import LEAST


def configured(scheduler: str) -> Config:
    return parse_config(f'{LEAST}\n[cluster]\nscheduler = "{scheduler}"\n', "drkit.toml")


@pytest.mark.parametrize(
    "address", ["tls://scheduler:8786", "tls://10.0.0.1:8786", "tls://[fd00::1]:8786", "tcp://127.0.0.1:8786",
                "tcp://localhost:1", "tcp://[::1]:8786"]
)  # fmt: skip
def test_addresses(address: str) -> None:
    assert configured(address).cluster.scheduler == address
    assert parse_config(LEAST, "x").over(address).cluster.scheduler == address


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("tcp://10.0.0.1:8786", "without TLS only a scheduler on this machine is used"),
        ("tcp://scheduler:8786", "without TLS only a scheduler on this machine is used"),
        ("tcp://127.0.0.1.example.com:8786", "without TLS only a scheduler on this machine is used"),
        ("scheduler:8786", "it looks like tls://"),
        ("tls://scheduler", "it looks like tls://"),
        ("tls://scheduler:99999", "it looks like tls://"),
        ("tls://user@scheduler:8786", "it looks like tls://"),
        ("ucx://127.0.0.1:8786", "it looks like tls://"),
    ],
)
def test_what_is_no_address_or_has_no_tls_is_refused(address: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        configured(address)
    assert said in caught.value.hint
    with pytest.raises(UsageError, match=said):
        parse_config(LEAST, "x").over(address)


def test_workers_write_below_what_they_share_alone(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    (tmp_path / "link").symlink_to(shared)
    text = f'{LEAST}\n[cluster]\nscheduler = "tls://scheduler:8786"\nshared = ["{shared}"]\n'
    cluster = parse_config(text, "drkit.toml").cluster
    for seen in (shared, shared / "a/b", tmp_path / "link/a"):
        assert cluster.writing_to(seen) is cluster
    for unseen in (tmp_path, tmp_path / "shared-not", shared / "../other"):
        assert cluster.writing_to(unseen).scheduler is None


def test_local_is_no_cluster() -> None:
    settings = configured("tls://scheduler:8786")
    assert settings.over(None) is settings
    assert settings.over("local").cluster.scheduler is None
