"""storage_service.s3 of a harbor.yml: the bucket as the registry reaches it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from drkit.errors import ConfigError
from drkit.harbor.storage_service import bucket
from drkit.logs import redact
from drkit.registry.bucket_parameters import RegistryBucket

YML = Path("/opt/harbor/harbor.yml")

WHOLE = """
ca_bundle: /etc/ssl/storage-ca.crt
s3:
  accesskey: AKIAHARBORSOWN
  secretkey: the-secret-of-the-images
  region: eu-central-1
  regionendpoint: https://minio.example.com:9000/
  bucket: harbor-images
  rootdirectory: /registry/
"""


def parsed(text: str) -> RegistryBucket:
    return bucket(yaml.safe_load(text), YML)


def s3(**keys: Any) -> RegistryBucket:
    return bucket({"s3": {"bucket": "images", **keys}}, YML)


def test_everything() -> None:
    assert parsed(WHOLE) == RegistryBucket(
        bucket="harbor-images",
        root="registry",
        endpoint="https://minio.example.com:9000",
        region="eu-central-1",
        credentials={
            "AWS_ACCESS_KEY_ID": "AKIAHARBORSOWN",
            "AWS_SECRET_ACCESS_KEY": "the-secret-of-the-images",
        },
        ca_file=Path("/etc/ssl/storage-ca.crt"),
        addressing="path",
    )


def test_its_secret_is_one_from_then_on() -> None:
    found = parsed(WHOLE)
    assert redact("signed with the-secret-of-the-images") == "signed with ***"
    assert "the-secret" not in repr(found)


def test_a_role_of_the_machine_has_no_keys() -> None:
    found = s3(region="us-east-1")
    assert (found.credentials, found.endpoint, found.addressing) == ({}, None, "auto")


@pytest.mark.parametrize(("key", "missing"), [("accesskey", "secretkey"), ("secretkey", "accesskey")])
def test_half_a_pair_of_keys(key: str, missing: str) -> None:
    with pytest.raises(ConfigError) as caught:
        s3(**{key: "something"})
    assert caught.value.message == f"/opt/harbor/harbor.yml: storage_service.s3 has no {missing}"


@pytest.mark.parametrize("service", [{"s3": {}}, {"s3": None}, {"s3": {"bucket": ""}}])
def test_no_bucket(service: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as caught:
        bucket(service, YML)
    assert caught.value.message == "/opt/harbor/harbor.yml: storage_service.s3 names no bucket"


@pytest.mark.parametrize(
    ("keys", "endpoint"),
    [
        ({"regionendpoint": "minio:9000"}, "https://minio:9000"),
        ({"regionendpoint": "minio:9000", "secure": True}, "https://minio:9000"),
        ({"regionendpoint": "minio:9000", "secure": False}, "http://minio:9000"),
        ({"regionendpoint": "minio:9000", "secure": "false"}, "http://minio:9000"),
        ({"regionendpoint": "http://minio:9000", "secure": True}, "http://minio:9000"),
    ],
)
def test_the_endpoints_scheme(keys: dict[str, Any], endpoint: str) -> None:
    assert s3(**keys).endpoint == endpoint


@pytest.mark.parametrize(
    ("flag", "addressing"), [(None, "path"), (True, "path"), (False, "virtual"), ("false", "virtual")]
)
def test_where_the_bucket_stands_in_an_address(flag: object, addressing: str) -> None:
    assert s3(regionendpoint="https://minio", forcepathstyle=flag).addressing == addressing


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"skipverify": True}, ["skipverify", "ca_file"]),
        ({"v4auth": False}, ["v4auth", "version 4"]),
        ({"accelerate": "true"}, ["accelerate"]),
        ({"encrypt": True, "keyid": "arn:aws:kms:x"}, ["encrypt and keyid", "default"]),
        ({"storageclass": "STANDARD_IA"}, ["storageclass"]),
    ],
)
def test_what_cannot_be_taken_over_is_said(keys: dict[str, Any], words: list[str]) -> None:
    (said,) = s3(**keys).regrets
    assert all(word in said for word in words)


def test_what_says_what_drkit_does_anyway_is_no_regret() -> None:
    assert s3(skipverify=False, v4auth=True, encrypt=False, accelerate=False).regrets == ()
