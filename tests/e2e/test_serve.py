"""A registry straight from a recovery point: real clients pull from it, and nothing of it stays."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from psycopg import Connection

import testenv
from drkit.registry import storage
from testenv import Site
from tests import needs
from tests.e2e import processes
from tests.e2e.commands import Drkit, Ended, assert_says, finish
from tests.e2e.conftest import Drilled
from tests.e2e.repositories import locks

_SAID_LAST = "Images can be pulled now. Ctrl-C ends it."


@dataclass
class Running:
    """A registry that serves: what it said when it began, by name, and its process."""

    facts: dict[str, str]
    process: subprocess.Popen[str]

    @property
    def url(self) -> str:
        return self.facts["address"]

    @property
    def place(self) -> str:
        return self.url.partition("://")[2]

    def end(self) -> Ended:
        self.process.send_signal(signal.SIGTERM)
        return finish(self.process)


@contextmanager
def serving(drkit: Drkit, *words: str) -> Iterator[Running]:
    process = drkit.start("serve", *words)
    assert process.stdout is not None
    said = []
    for line in process.stdout:
        said.append(line.rstrip("\n"))
        if said[-1] == _SAID_LAST:
            break
    else:
        raise AssertionError(f"it ended: {said} {finish(process)}")
    facts = {line[:12].strip(): line[13:].strip() for line in said[:-1]}
    try:
        yield Running(facts, process)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            finish(process)


@dataclass(frozen=True)
class Known:
    """An image as Harbor knows it."""

    repository: str
    tag: str
    digest: str


def tags(site: Site, like: str) -> list[Known]:
    """The tags of images whose manifest is of that media type, some of them."""
    with testenv.connect(site) as connection:
        rows = connection.execute(
            "SELECT a.repository_name, t.name, a.digest FROM artifact a JOIN tag t ON t.artifact_id = a.id"
            " WHERE a.manifest_media_type LIKE %s AND a.icon IS DISTINCT FROM 'x' ORDER BY 1, 2 LIMIT 3",
            (like,),
        ).fetchall()
    assert rows
    return [Known(*map(str, row)) for row in rows]


def signatures(site: Site) -> list[Known]:
    """Signatures that Harbor keeps as accessories, by digest, with the digest of their subject as tag."""
    with testenv.connect(site) as connection:
        rows = connection.execute(
            "SELECT a.repository_name, s.subject_artifact_digest, s.digest FROM artifact_accessory s"
            " JOIN artifact a ON a.id = s.artifact_id WHERE s.type LIKE '%signature%' ORDER BY 1, 2 LIMIT 2"
        ).fetchall()
    assert rows
    return [Known(*map(str, row)) for row in rows]


def skopeo(*words: str) -> str:
    done = subprocess.run(
        [needs.program("skopeo"), "--insecure-policy", *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def pull(source: str, directory: Path, *options: str) -> bytes:
    """Pull an image whole with skopeo, which hashes everything; returns its manifest."""
    skopeo(
        "copy",
        "--quiet",
        "--all",
        "--src-tls-verify=false",
        *options,
        f"docker://{source}",
        f"dir:{directory}",
    )
    return (directory / "manifest.json").read_bytes()


def nothing_stays(drkit: Drkit) -> None:
    assert processes.survivors(drkit.home) == []
    assert str(drkit.home) not in Path("/proc/self/mountinfo").read_text()


def test_images_indexes_and_signatures(
    copy: Drkit, drilled: Drilled, site: Site, new_home: Callable[[], Path]
) -> None:
    images = [*tags(site, "%image.manifest%"), *tags(site, "%image.index%")]
    with serving(copy, "--listen", "127.0.0.1:0") as registry:
        assert registry.facts["point"].startswith(drilled.point)
        assert registry.facts["log in with"] == "nothing: this machine alone reaches it"
        for image in images:
            for reference in (f":{image.tag}", f"@{image.digest}"):
                manifest = pull(f"{registry.place}/{image.repository}{reference}", new_home())
                assert storage.is_digest(image.digest)
                assert skopeo("manifest-digest", str(write(new_home(), manifest))).strip() == image.digest
        for signature in signatures(site):
            pull(f"{registry.place}/{signature.repository}@{signature.digest}", new_home())
        ended = registry.end()
    assert ended.code == 0, ended
    assert f"of recovery point {drilled.point}." in ended.stdout
    assert ended.said == []
    assert locks(copy) == []
    assert list((copy.state / "runs").iterdir()) == []
    nothing_stays(copy)


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def _client(url: str) -> httpx.Client:
    return httpx.Client(base_url=url, timeout=60)


def test_every_tag_that_harbor_knows_is_listed(copy: Drkit, site: Site) -> None:
    with testenv.connect(site) as connection:
        rows = connection.execute(
            "SELECT a.repository_name, array_agg(t.name::text) FROM artifact a"
            " JOIN tag t ON t.artifact_id = a.id GROUP BY 1"
        ).fetchall()
    wanted = {str(repository): sorted(names) for repository, names in rows}
    with serving(copy, "--listen", "127.0.0.1:0") as registry, _client(registry.url) as client:
        for repository, names in wanted.items():
            assert client.get(f"/v2/{repository}/tags/list").json()["tags"] == names
        assert set(wanted) <= set(client.get("/v2/_catalog").json()["repositories"])


def test_elsewhere_it_takes_tls_and_a_password(copy: Drkit, site: Site, new_home: Callable[[], Path]) -> None:
    (image, *_) = tags(site, "%image.manifest%")
    with serving(copy, "--listen", "0.0.0.0:0", "--only", "*/*") as registry:
        port = registry.place.rpartition(":")[2]
        assert registry.url == f"https://0.0.0.0:{port}"
        assert registry.facts["repositories"] == "*/*"
        password = registry.facts["log in with"].removeprefix("any user name, password ")
        here = f"127.0.0.1:{port}"
        pull(f"{here}/{image.repository}:{image.tag}", new_home(), "--src-creds", f"somebody:{password}")
        authority = next(site.tls.rglob("ca.crt"))
        for login, code in (((), "401"), (("--user", f"a:{password}"), "200")):
            assert curl(port, authority, *login) == code
        with pytest.raises(httpx.HTTPError):
            httpx.get(f"http://{here}/v2/", timeout=60)
        assert password not in registry.end().stderr


def curl(port: str, authority: Path, *words: str) -> str:
    """The status that curl gets, which must find the certificate valid for the registry's own name."""
    name = "registry.example.test"
    resolved = f"{name}:{port}:127.0.0.1"
    address = ("--resolve", resolved, "--cacert", str(authority), f"https://{name}:{port}/v2/")
    done = subprocess.run(
        ["curl", "--silent", "--output", os.devnull, "--write-out", "%{http_code}", *words, *address],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done
    return done.stdout


def test_a_killed_one_leaves_nothing_that_stays(copy: Drkit, server: Connection) -> None:
    with serving(copy, "--listen", "127.0.0.1:0") as registry:
        registry.process.kill()
        registry.process.communicate()
    if os.geteuid() == 0:
        nothing_stays(copy)
    processes.bury()
    (left,) = (path.name for path in (copy.state / "runs").iterdir())
    assert copy.ask("backup")["swept"] == [f"removed what the killed run {left} left"]
    assert locks(copy) == []
    nothing_stays(copy)


def test_a_blob_that_production_has_damaged_is_refused(copy: Drkit, site: Site) -> None:
    """A backup compares sizes, so that one is in the point; a registry would hand it out."""
    (image, *_) = tags(site, "%image.manifest%")
    manifest = json.loads(storage.blob_path(site.blobs, image.digest).read_bytes())
    layer = manifest["layers"][0]["digest"]
    path = storage.blob_path(site.blobs, layer)
    sound, kept = path.read_bytes(), path.stat()
    path.write_bytes(sound[:-1] + bytes([sound[-1] ^ 1]))
    try:
        copy.ask("backup")
    finally:
        path.write_bytes(sound)
        os.utime(path, ns=(kept.st_atime_ns, kept.st_mtime_ns))
    with serving(copy, "--listen", "127.0.0.1:0") as registry:
        url = f"{registry.url}/v2/{image.repository}/blobs/{layer}"
        try:
            assert httpx.get(url, timeout=60).status_code == 500
        except httpx.RemoteProtocolError:
            assert len(sound) > 1 << 20, "of a small one all is known before a word is said"
        ended = registry.end()
    assert (ended.code, ended.complaint[0]) == (7, f"1 answers were refused: the bytes of {layer} are others")


@pytest.mark.parametrize(
    ("words", "code", "message", "hint"),
    [
        (["nosuchpoint"], 4, 'there is no recovery point "nosuchpoint"', "the newest is .*"),
        (
            ["--listen", "example.test:1"],
            2,
            '"example.test:1" is no address to listen on',
            "give an IP address .*",
        ),
        (["--listen", ":0", "--identity", "/nowhere"], 4, ".*/nowhere.*", ".*"),
    ],
)
def test_what_it_refuses(copy: Drkit, words: Sequence[str], code: int, message: str, hint: str) -> None:
    ended = copy.run("serve", *words)
    assert ended.code == code, ended
    said = ended.complaint
    assert_says(said[0], message)
    assert_says(said[1], hint)


def test_a_port_that_is_taken(copy: Drkit) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ended = copy.run("serve", "--listen", f"127.0.0.1:{port}")
    assert (ended.code, ended.complaint[0]) == (
        4,
        f"cannot listen on 127.0.0.1, port {port}: Address already in use",
    )
    assert locks(copy) == []
    nothing_stays(copy)
