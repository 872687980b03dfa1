"""Many sites at once: a broken one costs its own line, one that hangs its own time, and none the others."""

from __future__ import annotations

import socket
import subprocess
from pathlib import Path

import pytest

from tests.e2e.commands import Drkit, Ended, fails, finish
from tests.e2e.conftest import Drilled


def run(drkit: Drkit, directory: Path, *words: str, inside: str = "/") -> Ended:
    """Look at all sites of a directory: without a configuration of one's own."""
    command = [drkit.python, "-P", "-m", "drkit", "status", "--all", str(directory), *words]
    started = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=inside,
        env=drkit.surroundings,
    )
    return finish(started)


@pytest.fixture
def directory(drilled: Drilled, tmp_path: Path) -> Path:
    """Configurations of a site that is well, one whose repository is gone, and one that is none."""
    text = drilled.drkit.config.read_text()
    (tmp_path / "well.toml").write_text(text)
    gone = text.replace(str(drilled.drkit.repository), str(tmp_path / "gone"))
    (tmp_path / "gone.toml").write_text(gone.replace("registry.example.test", "gone.example.test"))
    (tmp_path / "none.toml").write_text("[site")
    return tmp_path


def test_the_worst_first_and_each_for_itself(drilled: Drilled, directory: Path) -> None:
    metrics = directory / "sites.prom"
    ended = run(drilled.drkit, directory, "--json", "--metrics", str(metrics))
    assert (ended.code, ended.error["kind"]) == (4, "config_error")
    sites = ended.envelope["result"]["sites"]
    assert [Path(each["file"]).stem for each in sites] == ["none", "gone", "well"]
    assert [(each["state"], each["exit_code"]) for each in sites[:2]] == [("unknown", 4), ("unreadable", 10)]
    assert (sites[2]["exit_code"], sites[2]["newest_point"]) == (0, drilled.point)
    assert f'drkit_sites_exit_code{{file="{directory}/gone.toml"' in metrics.read_text()
    (directory / "none.toml").unlink()
    # Whoever may write to the working directory does not run as who looks.
    (directory / "drkit").mkdir()
    (directory / "drkit" / "__main__.py").write_text('raise SystemExit("not drkit")')
    assert run(drilled.drkit, directory, inside=str(directory)).code == 10
    (directory / "gone.toml").unlink()
    ended = run(drilled.drkit, directory)
    assert (ended.code, ended.stdout.splitlines()[0]) == (0, "1 site, which is green")


def test_one_that_never_answers_is_ended(drilled: Drilled, tmp_path: Path) -> None:
    """What takes connections and says nothing, as a server behind a broken firewall."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"rest:http://127.0.0.1:{silent.getsockname()[1]}/"
        text = drilled.drkit.config.read_text().replace(f'"{drilled.drkit.repository}"', f'"{url}"')
        assert url in text
        (tmp_path / "silent.toml").write_text(text)
        ended = run(drilled.drkit, tmp_path, "--timeout", "5s", "--json")
    (found,) = ended.envelope["result"]["sites"]
    assert (ended.code, found["state"], found["site"]) == (7, "unknown", "silent")
    assert found["message"] == "it came to no end within 5 seconds, and was ended"


def test_what_does_not_go_together(drilled: Drilled, directory: Path) -> None:
    where = ("status", "--all", str(directory))
    said = "{} and --all do not go together"
    for words in (("--nagios",), ("--html", "page.html"), ("--write",)):
        ended = run(drilled.drkit, directory, *words)
        assert (ended.code, ended.complaint[0]) == (2, said.format(words[0]))
    assert drilled.drkit.run(*where).complaint[0] == said.format("--config")
    fails(drilled.drkit, ("status", "--timeout", "3s"), 2, "usage_error", "--timeout goes with --all", ".*")
