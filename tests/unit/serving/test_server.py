"""The read-only registry over a tree made by hand, asked by a client on a socket."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from drkit.errors import ConfigError
from drkit.registry import links, selection, storage
from drkit.registry.ledger import Ledger
from drkit.serving.data import TreeData
from drkit.serving.images import Images
from drkit.serving.names import TreeNames
from drkit.serving.server import RegistryServer
from drkit.tools.http_server import running
from tests.unit.serving import trees

LARGE = bytes(range(256)) * 12_000


@contextmanager
def served(
    root: Path, *, password: str | None = None, only: str | None = None
) -> Iterator[tuple[httpx.Client, RegistryServer]]:
    ledger = Ledger(root / "ledger.db")
    chosen = selection.parse(only) if only else None
    images = Images(root, TreeData(root), TreeNames(root), ledger, chosen)
    server = RegistryServer(("127.0.0.1", 0), images, password=password, tls=None)
    with running(server), httpx.Client(base_url=f"http://127.0.0.1:{server.port}", timeout=60) as client:
        yield client, server
    ledger.close()


def test_an_image_by_tag_and_by_digest(tmp_path: Path) -> None:
    large = trees.layer(tmp_path, "library/app", LARGE)
    image = trees.manifest(tmp_path, "library/app", "v1", layers=[{"digest": large, "size": len(LARGE)}])
    with served(tmp_path) as (client, server):
        assert client.get("/v2/").json() == {}
        by_tag, by_digest = (client.get(f"/v2/library/app/manifests/{each}") for each in ("v1", image))
        assert by_tag.content == by_digest.content
        assert by_tag.headers["docker-content-digest"] == image
        assert by_tag.headers["content-type"] == trees.IMAGE
        blob = client.get(f"/v2/library/app/blobs/{large}")
        assert (blob.status_code, blob.content) == (200, LARGE)
        asked = client.head(f"/v2/library/app/blobs/{large}")
        assert (asked.headers["content-length"], asked.content) == (str(len(LARGE)), b"")
        assert client.get(f"/v2/library/app/blobs/{image}").content == by_tag.content
        assert client.get("/v2/library/app/tags/list").json() == {"name": "library/app", "tags": ["v1"]}
        assert client.get("/v2/_catalog").json() == {"repositories": ["library/app"]}
    assert (server.served.manifests, server.served.blobs, server.served.refused) == (2, 2, set())


def test_what_a_repository_does_not_have(tmp_path: Path) -> None:
    other = trees.layer(tmp_path, "library/other", b"other")
    trees.manifest(tmp_path, "library/app", "v1")
    with served(tmp_path) as (client, _):
        for path, code in (
            (f"app/blobs/{other}", "BLOB_UNKNOWN"),
            ("app/manifests/v2", "MANIFEST_UNKNOWN"),
            (f"app/manifests/{trees.digest(b'x')}", "MANIFEST_UNKNOWN"),
            ("nothing/tags/list", "NAME_UNKNOWN"),
        ):
            answer = client.get(f"/v2/library/{path}")
            assert (answer.status_code, answer.json()["errors"][0]["code"]) == (404, code)


def test_parts_of_a_blob(tmp_path: Path) -> None:
    large = trees.layer(tmp_path, "app", LARGE)
    with served(tmp_path) as (client, _):
        part = client.get(f"/v2/app/blobs/{large}", headers={"Range": "bytes=2000000-2000009"})
        assert (part.status_code, part.content) == (206, LARGE[2_000_000:2_000_010])
        assert part.headers["content-range"] == f"bytes 2000000-2000009/{len(LARGE)}"
        beyond = client.get(f"/v2/app/blobs/{large}", headers={"Range": f"bytes={len(LARGE)}-"})
        assert beyond.status_code == 416


@pytest.mark.parametrize("data", [b"small", LARGE])
def test_wrong_bytes_never_look_like_right_ones(tmp_path: Path, data: bytes) -> None:
    name = trees.layer(tmp_path, "app", data)
    path = storage.blob_path(tmp_path, name)
    path.write_bytes(data[:-1] + b"!")
    with served(tmp_path) as (client, server):
        for _ in range(2):
            if len(data) < 1 << 20:
                assert client.get(f"/v2/app/blobs/{name}").status_code == 500
            else:
                with pytest.raises(httpx.RemoteProtocolError):
                    client.get(f"/v2/app/blobs/{name}")
            part = client.get(f"/v2/app/blobs/{name}", headers={"Range": "bytes=1-"})
            assert part.status_code == 500
    assert server.served.refused == {f"the bytes of {name} are others"}


def test_a_blob_that_is_proved_meanwhile_is_handed_out_whole(tmp_path: Path) -> None:
    large = trees.layer(tmp_path, "app", LARGE)
    with contextlib.closing(Ledger(tmp_path / "ledger.db")) as ledger:
        images = Images(tmp_path, TreeData(tmp_path), TreeNames(tmp_path), ledger)
        blob = images.blob("app", large)
        assert blob
        first, second = (images.pieces(blob, 0, blob.size) for _ in range(2))
        begun = next(first)
        assert b"".join(second) == LARGE
        assert begun + b"".join(first) == LARGE
        assert b"".join(images.pieces(blob, 0, blob.size)) == LARGE


def test_a_manifest_with_wrong_bytes_is_refused(tmp_path: Path) -> None:
    image = trees.manifest(tmp_path, "app", "v1")
    path = storage.blob_path(tmp_path, image)
    path.write_bytes(path.read_bytes() + b" ")
    with served(tmp_path) as (client, server):
        assert client.get("/v2/app/manifests/v1").status_code == 500
    assert len(server.served.refused) == 1


def test_a_cut_blob_is_refused(tmp_path: Path) -> None:
    """The registry itself would hand it out, with 200."""
    name = trees.layer(tmp_path, "app", LARGE)
    storage.blob_path(tmp_path, name).write_bytes(LARGE[:-1000])
    with served(tmp_path) as (client, server), pytest.raises(httpx.RemoteProtocolError):
        client.get(f"/v2/app/blobs/{name}")
    assert server.served.refused


def test_a_link_that_holds_nothing_is_told(tmp_path: Path) -> None:
    trees.manifest(tmp_path, "app", "v1")
    trees.put(tmp_path, links.of_tag("app", "v1"), b"")
    with served(tmp_path) as (client, _):
        assert client.get("/v2/app/manifests/v1").status_code == 500


def test_what_is_no_file_is_not_there(tmp_path: Path) -> None:
    """Whoever can write to a repository can put a pipe there, which would wait for ever."""
    name = trees.layer(tmp_path, "app", b"data")
    trees.manifest(tmp_path, "app", "v1")
    for path in (storage.blob_path(tmp_path, name), tmp_path / links.of_tag("app", "v1")):
        path.unlink()
        os.mkfifo(path)
    with served(tmp_path) as (client, _):
        assert client.get(f"/v2/app/blobs/{name}").status_code == 404
        assert client.get("/v2/app/manifests/v1").status_code == 404


def test_nobody_writes(tmp_path: Path) -> None:
    trees.manifest(tmp_path, "app", "v1")
    with served(tmp_path) as (client, _):
        for method in ("PUT", "POST", "PATCH", "DELETE"):
            answer = client.request(method, "/v2/app/manifests/v1", content=b"{}")
            assert (answer.status_code, answer.json()["errors"][0]["code"]) == (405, "UNSUPPORTED")
        assert client.get("/v2/app/manifests/v1").status_code == 200


def test_a_password(tmp_path: Path) -> None:
    trees.manifest(tmp_path, "app", "v1")
    with served(tmp_path, password="gehe:im") as (client, _):
        for wrong in (None, ("any", "wrong"), ("gehe:im", "")):
            answer = client.get("/v2/app/manifests/v1", auth=wrong)
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"] == 'Basic realm="drkit"'
        assert client.get("/v2/", headers={"Authorization": "Basic ?"}).status_code == 401
        assert client.get("/v2/app/manifests/v1", auth=("any", "gehe:im")).status_code == 200


def test_some_repositories_alone(tmp_path: Path) -> None:
    for repository in ("library/app", "other/app"):
        trees.manifest(tmp_path, repository, "v1")
    with served(tmp_path, only="library/*") as (client, _):
        assert client.get("/v2/library/app/manifests/v1").status_code == 200
        assert client.get("/v2/other/app/manifests/v1").status_code == 404
        assert client.get("/v2/_catalog").json() == {"repositories": ["library/app"]}


def test_lists_come_in_pages(tmp_path: Path) -> None:
    for tag in ("a", "b", "c"):
        trees.manifest(tmp_path, "app", tag)
    with served(tmp_path) as (client, _):
        seen, path = [], "/v2/app/tags/list?n=2"
        while path:
            answer = client.get(path)
            seen.append(answer.json()["tags"])
            path = answer.links.get("next", {}).get("url", "")
    assert seen == [["a", "b"], ["c"]]


def test_referrers(tmp_path: Path) -> None:
    image = trees.manifest(tmp_path, "app", "v1")
    signature = trees.manifest(tmp_path, "app", artifactType="sig/sig", subject={"digest": image})
    with served(tmp_path) as (client, _):
        found = client.get(f"/v2/app/referrers/{image}").json()["manifests"]
        assert [(each["digest"], each["artifactType"]) for each in found] == [(signature, "sig/sig")]
        other = client.get(f"/v2/app/referrers/{image}?artifactType=other")
        assert (other.json()["manifests"], other.headers["oci-filters-applied"]) == ([], "artifactType")
        assert client.get(f"/v2/none/referrers/{image}").json()["manifests"] == []


def test_connections_are_cut_at_the_end(tmp_path: Path) -> None:
    """One that waits for its client would keep the files of the recovery point open."""
    large = trees.layer(tmp_path, "app", LARGE * 8)
    with served(tmp_path) as (_, server):
        client = socket.create_connection(("127.0.0.1", server.port))
        client.sendall(f"GET /v2/app/blobs/{large} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert client.recv(15) == b"HTTP/1.1 200 OK"
    with client, contextlib.suppress(ConnectionResetError):
        received = 0
        while piece := client.recv(1 << 20):
            received += len(piece)
        assert received < len(LARGE * 8)


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ledger = Ledger(tmp_path / "ledger.db")
        images = Images(tmp_path, TreeData(tmp_path), TreeNames(tmp_path), ledger)
        with pytest.raises(
            ConfigError, match=f"cannot listen on 127.0.0.1, port {port}: Address already in use"
        ):
            RegistryServer(("127.0.0.1", port), images, password=None, tls=None)
        ledger.close()
