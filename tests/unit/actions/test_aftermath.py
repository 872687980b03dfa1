"""What follows a verb that failed: neither half waits for the other."""

from __future__ import annotations

from pathlib import Path

import pytest

from drkit import config
from drkit.actions.aftermath import tell
from drkit.errors import BackupIncomplete, ConfigError
from drkit.state import State


def site(directory: Path, urls_file: str, textfile: str) -> config.Config:
    file = directory / "drkit.toml"
    file.write_text(
        f"""
        [site]
        name = "registry.example.com"
        state = "{directory}/state"
        [[repository]]
        name = "primary"
        url = "{directory}/repository"
        password_file = "{directory}/password"
        [notify]
        urls_file = "{directory}/{urls_file}"
        [metrics]
        textfile = "{directory}/{textfile}"
        """
    )
    return config.load_config(file)


def test_a_message_that_cannot_be_sent_leaves_the_metrics_true(tmp_path: Path) -> None:
    settings = site(tmp_path, "none", "drkit.prom")
    with pytest.raises(ConfigError, match="cannot read the addresses"):
        tell(settings, "backup", BackupIncomplete("no recovery point was sealed"))
    assert State(settings.site.state).outcomes()["backup"][1] is False
    assert (
        'drkit_last_backup_success{site="registry.example.com"} 0.0' in (tmp_path / "drkit.prom").read_text()
    )


def test_metrics_that_cannot_be_written_keep_nobody_from_being_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "urls").write_text("no-such-service://example\n")
    settings = site(tmp_path, "urls", "none/drkit.prom")
    with pytest.raises(ConfigError, match="the directory of the metrics file"):
        tell(settings, "backup", BackupIncomplete("no recovery point was sealed"))
    assert "cannot notify no-such-service://..." in caplog.text
