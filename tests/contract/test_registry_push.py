"""Pushing to real registries: with and without a login, with tokens that end, over connections that break."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from drkit.errors import ConfigError, RegistryRefused, RegistryUnreachable, WrongBytes
from drkit.tools.registry_http import referrers
from drkit.tools.registry_http.client import Address, Registry
from drkit.tools.registry_http.login import Account
from testenv.s3_faults import Fault, Proxy
from tests import registry_server

ACCOUNT = Account(registry_server.USER, registry_server.PASSWORD)
BLOB = bytes(range(256)) * 4096
KIND = "application/vnd.oci.image.manifest.v1+json"


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


DIGEST = digest_of(BLOB)


def image() -> bytes:
    descriptor = {"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": DIGEST, "size": len(BLOB)}
    return json.dumps({"schemaVersion": 2, "mediaType": KIND, "config": descriptor, "layers": []}).encode()


def pieces() -> Iterator[bytes]:
    for start in range(0, len(BLOB), 300_000):
        yield BLOB[start : start + 300_000]


@contextlib.contextmanager
def opened(url: str, account: Account | None = None) -> Iterator[Registry]:
    with Registry(Address(url), account, 4, pause=0) as registry:
        yield registry


def push(registry: Registry, repository: str) -> str:
    """Push an image with the tag v1; returns its digest."""
    data = image()
    digest = digest_of(data)
    registry.push_blob(repository, DIGEST, len(BLOB), pieces)
    registry.push_manifest(repository, digest, KIND, data)
    registry.name(repository, "v1", digest, KIND, data)
    return digest


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with registry_server.running(tmp_path_factory.mktemp("plain")) as url:
        yield url


def test_an_image(plain: str) -> None:
    with opened(plain) as registry:
        registry.look()
        assert registry.manifest("a/new", "v1") is None
        assert not registry.has_blob("a/new", DIGEST)
        digest = push(registry, "a/new")
        assert registry.has_blob("a/new", DIGEST)
        assert registry.manifest("a/new", "v1") == digest == registry.manifest("a/new", digest)
        assert registry.mount("a/other", DIGEST, "a/new")
        assert registry.has_blob("a/other", DIGEST)
        assert not registry.mount("a/other", f"sha256:{'0' * 64}", "a/new")


def test_wrong_bytes_never_become_a_blob(plain: str) -> None:
    def spoilt() -> Iterator[bytes]:
        yield BLOB[:1000]
        raise WrongBytes("the bytes are others")

    with opened(plain) as registry:
        with pytest.raises(WrongBytes):
            registry.push_blob("a/spoilt", DIGEST, len(BLOB), spoilt)
        assert not registry.has_blob("a/spoilt", DIGEST)
        # The registry looks as well.
        other = f"sha256:{'0' * 64}"
        with pytest.raises(RegistryRefused, match="DIGEST_INVALID"):
            registry.push_blob("a/spoilt", other, len(BLOB), pieces)


def test_a_manifest_whose_layers_are_not_there(plain: str) -> None:
    data = image()
    with opened(plain) as registry, pytest.raises(RegistryRefused, match="a/empty@sha256:"):
        registry.push_manifest("a/empty", digest_of(data), KIND, data)


def test_a_list_of_referrers_that_names_what_is_gone(plain: str) -> None:
    def described(title: str) -> dict[str, Any]:
        data = json.dumps({**json.loads(image()), "annotations": {"title": title}}).encode()
        registry.push_manifest("a/signed", digest_of(data), KIND, data)
        return {"mediaType": KIND, "digest": digest_of(data), "size": len(data)}

    with opened(plain) as registry:
        subject = push(registry, "a/signed")
        gone, stays, back = described("gone"), described("stays"), described("back")
        registry.list_referrers("a/signed", subject, [gone, stays])
        manifests = f"{plain}/v2/a/signed/manifests"
        assert httpx.delete(f"{manifests}/{gone['digest']}", trust_env=False).status_code == 202
        whole = referrers.completed([gone, stays], [back])
        tag = referrers.tag(subject)
        with pytest.raises(RegistryRefused, match="MANIFEST_BLOB_UNKNOWN"):
            registry.name("a/signed", tag, digest_of(whole), referrers.INDEX, whole)
        registry.list_referrers("a/signed", subject, [back])
        answer = httpx.get(f"{manifests}/{tag}", headers={"Accept": referrers.INDEX}, trust_env=False)
        assert answer.json()["manifests"] == [stays, back]


def test_basic_authentication(tmp_path: Path) -> None:
    with registry_server.running(tmp_path, auth=registry_server.basic(tmp_path)) as url:
        with opened(url, ACCOUNT) as registry:
            registry.look()
            push(registry, "a/b")
        for account, who in ((None, "a client without credentials"), (Account("joe", "no"), "joe")):
            with opened(url, account) as registry, pytest.raises(ConfigError, match=f"refuses {who}: 401"):
                registry.look()


def test_tokens_for_each_repository(tmp_path: Path) -> None:
    with (
        registry_server.token_service() as service,
        registry_server.running(tmp_path, auth=service.auth(tmp_path)) as url,
    ):
        with opened(url, ACCOUNT) as registry:
            registry.look()
            digest = push(registry, "a/b")
            assert registry.mount("a/c", DIGEST, "a/b")
            assert registry.manifest("a/b", "v1") == digest
        assert (("repository:a/c:pull,push", "repository:a/b:pull")) in service.asked
        # One is used again as long as it holds.
        assert len(service.asked) == 3
        service.closed.add("a/b")
        with opened(url, ACCOUNT) as registry:
            assert not registry.mount("a/d", DIGEST, "a/b"), "then it is sent"
        with opened(url, Account("joe", "no")) as registry, pytest.raises(ConfigError, match="refuses joe"):
            registry.look()


class Ending(Proxy):
    """Forgets tokens: to one request in three the registry hears of none that it knows."""

    asked = 0

    def forward(
        self, method: str, path: str, headers: list[tuple[str, str]], body: bytes
    ) -> tuple[int, list[tuple[str, str]], bytes]:
        self.asked += 1
        if self.asked % 3 == 0:
            headers = [(n, "Bearer a.b.c" if n.lower() == "authorization" else v) for n, v in headers]
        return super().forward(method, path, headers, body)


def test_tokens_that_end_in_the_middle(tmp_path: Path) -> None:
    with (
        registry_server.token_service() as service,
        registry_server.running(tmp_path, auth=service.auth(tmp_path)) as url,
        Ending(url) as proxy,
        opened(proxy.endpoint, ACCOUNT) as registry,
    ):
        registry.look()
        for name in ("a/b", "a/c", "a/d"):
            assert registry.manifest(name, "v1") is None
            assert push(registry, name) == registry.manifest(name, "v1")
        assert len(service.asked) > 4


@pytest.mark.parametrize("where", ["POST", "PUT /v2/a/lost/blobs", "PUT /v2/a/lost/manifests", "HEAD"])
@pytest.mark.parametrize("fault", [{"drop": True}, {"drop": True, "late": True}, {"error": (502, "BAD")}])
def test_a_connection_that_breaks_is_tried_again(plain: str, where: str, fault: dict[str, bool]) -> None:
    with Proxy(plain) as proxy, opened(proxy.endpoint) as registry:
        proxy.add(Fault(where, **fault))  # type: ignore[arg-type]
        assert push(registry, "a/lost") == registry.manifest("a/lost", "v1")
        assert registry.has_blob("a/lost", DIGEST)


def test_one_that_never_comes_back() -> None:
    with (
        opened("http://127.0.0.1:1") as registry,
        pytest.raises(RegistryUnreachable, match="fails at GET /v2/"),
    ):
        registry.look()


@pytest.mark.parametrize(
    ("status", "hint"),
    [
        (413, "raise the project's quota"),
        (412, "a rule makes the tag immutable"),
        (403, "the project a is missing there"),
        (404, "the project a is missing there"),
        (405, "the registry is read-only"),
        (503, "the registry is read-only"),
    ],
)
def test_a_push_that_is_refused(plain: str, status: int, hint: str) -> None:
    with Proxy(plain) as proxy, opened(proxy.endpoint) as registry:
        proxy.add(Fault("PUT", error=(status, "NO"), times=9))
        with pytest.raises(RegistryRefused, match=f"refuses a layer of a/refused: {status}") as error:
            registry.push_blob("a/refused", DIGEST, len(BLOB), pieces)
        assert error.value.hint.startswith(hint)


def test_a_registry_that_is_read_only(tmp_path: Path) -> None:
    with (
        registry_server.running(tmp_path, read_only=True) as url,
        opened(url) as registry,
        pytest.raises(RegistryRefused, match="405"),
    ):
        push(registry, "a/b")
