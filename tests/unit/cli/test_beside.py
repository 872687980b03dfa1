"""What the scheduler does beside its jobs: it tells what is new though no job has run."""

from __future__ import annotations

from pathlib import Path

from drkit.cli.beside import services
from drkit.config import load_config
from drkit.state.directory import State
from tests.inbox import Inbox


def test_what_is_wrong_is_told_though_nothing_runs(tmp_path: Path) -> None:
    with Inbox() as inbox:
        file = tmp_path / "drkit.toml"
        file.write_text(f"""
            [site]
            name = "registry.example.com"
            state = "{tmp_path}/state"
            [[repository]]
            name = "primary"
            url = "{tmp_path}/repository"
            password_file = "{tmp_path}/password"
            [notify]
            urls = ["json://127.0.0.1:{inbox.port}/"]
        """)
        settings = load_config(file)
        State(settings.site.state).prepare()
        with services(settings, lambda: file) as periodics:
            (alarms,) = [each for each in periodics if each.name == "alarms"]
            alarms.act()
            looked = (tmp_path / "state" / "alarms.json").stat().st_mtime_ns
            alarms.act()
            again = (tmp_path / "state" / "alarms.json").stat().st_mtime_ns
    (title,) = inbox.titles
    assert title.startswith("drkit registry.example.com: RED: cannot read the repository's password file")
    assert again == looked, "the second time it is not due, and nothing is begun"
