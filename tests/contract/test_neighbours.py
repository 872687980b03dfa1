"""Databases of Harbor's on the same server that nobody backs up."""

from __future__ import annotations

from pathlib import Path

from drkit import config
from drkit.actions.doctor import neighbours
from drkit.tools.postgres import sessions, sql
from tests.cluster import Cluster


def test_what_looks_like_harbors_is_named(cluster: Cluster, tmp_path: Path) -> None:
    registry = cluster.new_database()
    names = ("notaryserver", "harbor_too", "something_else", "registry_before_20261124_020000_4f2a9c")
    with sessions.connect(registry) as session:
        for name in names:
            session.execute(sql.trusted(f"CREATE DATABASE {name}"))
    try:
        for name in ("harbor_too", "registry_before_20261124_020000_4f2a9c"):
            with sessions.connect(registry.with_database(name)) as session:
                session.execute("CREATE TABLE public.artifact (id int)")
                session.execute("CREATE TABLE public.blob (id int)")
        # Entries that cannot be reached are told of elsewhere, and keep nothing from being looked at.
        entries = (registry.dsn, "host=127.0.0.1 port=1", "host=somewhere service=none")
        said = [finding.detail for finding in neighbours.look(_settings(tmp_path, *entries))]
        assert [line for line in said if "harbor_too" in line or "notary" in line] == [
            f"{registry.with_database('notaryserver').where} is not backed up, and has the name of Notary's,"
            " which has the keys of signatures",
            f"{registry.with_database('harbor_too').where} is not backed up, and has Harbor's tables",
        ]
        assert not [line for line in said if "something_else" in line or "_before_" in line]
    finally:
        with sessions.connect(registry) as session:
            for name in names:
                session.execute(sql.trusted(f"DROP DATABASE {name}"))


def _settings(directory: Path, *dsns: str) -> config.Config:
    file = directory / "drkit.toml"
    quoted = [dsn.replace("\\", "\\\\").replace('"', '\\"') for dsn in dsns]
    entries = [f'[[database]]\nname = "registry{n}"\ndsn = "{dsn}"\n' for n, dsn in enumerate(quoted)]
    file.write_text(
        f"""
        [site]
        name = "registry.example.com"
        state = "{directory}"
        {"".join(entries)}
        [[repository]]
        name = "primary"
        url = "/repository"
        password_file = "{directory}/password"
        """
    )
    return config.load_config(file)
