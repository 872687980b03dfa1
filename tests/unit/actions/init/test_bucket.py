"""The vault that `init` is told of, and the section that it becomes."""

from __future__ import annotations

from pathlib import Path

import pytest

from drkit import config
from drkit.actions.init import bucket as init_bucket
from drkit.actions.init import text as init_text
from drkit.actions.init.plan import Plan
from drkit.errors import ConfigError, UsageError
from drkit.registry.bucket_parameters import RegistryBucket

SOURCE = RegistryBucket("images", "registry", "http://minio:9000", "eu-1", addressing="path")


@pytest.mark.parametrize(
    ("address", "endpoint", "bucket", "prefix"),
    [
        ("s3://vault", None, "vault", ""),
        ("s3://vault/a/b/", None, "vault", "a/b"),
        ("https://minio.example.com/vault", "https://minio.example.com", "vault", ""),
        ("https://minio.example.com:9000/vault/a/b", "https://minio.example.com:9000", "vault", "a/b"),
        ("http://127.0.0.1:9000/vault", "http://127.0.0.1:9000", "vault", ""),
    ],
)
def test_addresses(address: str, endpoint: str | None, bucket: str, prefix: str) -> None:
    assert init_bucket.parse_address(address) == (endpoint, bucket, prefix)


@pytest.mark.parametrize(
    "address",
    ["vault", "/backup/vault", "s3:vault/x", "s3://", "s3://key@vault", "https://minio", "https://minio/",
     "https://key:word@minio/vault", "https://minio/vault?region=x", "ftp://minio/vault"],
)  # fmt: skip
def test_what_is_no_address(address: str) -> None:
    with pytest.raises(UsageError, match="names no bucket"):
        init_bucket.parse_address(address)


def test_without_a_vault_it_is_said_what_to_give() -> None:
    with pytest.raises(UsageError) as caught:
        init_bucket.vault(None, None, None)
    assert "--vault" in caught.value.hint
    assert "--vault-credentials" in caught.value.hint


def test_a_file_of_credentials_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no"):
        init_bucket.vault("s3://vault", tmp_path / "none", None)


def test_a_name_that_no_bucket_has() -> None:
    with pytest.raises(ConfigError) as caught:
        init_bucket.vault("s3://v", None, None)
    assert caught.value.message == "--vault: bucket is wrong"


def test_a_bucket_does_not_keep_itself() -> None:
    same = init_bucket.vault("http://minio:9000/images/vault", None, None)
    with pytest.raises(UsageError, match="the bucket that it protects"):
        init_bucket.blobs(SOURCE, same, None, "it")


def test_what_is_written_is_what_was_meant(tmp_path: Path) -> None:
    keys = tmp_path / "vault.credentials"
    keys.touch()
    vault = init_bucket.vault("https://far.example.com/vault/harbor", keys, "eu-2")
    blobs = init_bucket.blobs(SOURCE, vault, tmp_path / "blobs.credentials", "it")
    plan = Plan("r", None, None, blobs, (), "/backup", tmp_path / "drkit.toml", tmp_path, vault=vault)
    text = init_text.render(plan, "age1...")
    found = config.parse_config(text, "it")
    assert (found.blobs, found.vault) == (blobs, vault)
    assert "[blobs]\nkind = " in text, "what the rest depends on comes first"
    assert isinstance(found.blobs, config.BucketBlobs)
    assert found.blobs.credentials_file == tmp_path / "blobs.credentials"


def test_a_plain_registrys_bucket() -> None:
    found = init_bucket.plain_bucket("https://minio.example.com/images/registry/")
    assert found == RegistryBucket("images", "registry", "https://minio.example.com", addressing="path")
    assert init_bucket.plain_bucket("s3://images").addressing == "auto"
