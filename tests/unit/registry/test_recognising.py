"""A registry's own configuration file: which program it is of, where the images are, what else is needed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from drkit.errors import ConfigError, NotSupported
from drkit.registry import metadata_database, recognising
from drkit.registry.installation import RegistryInstallation

YML = Path("/etc/registry/config.yml")

WHOLE = """
version: 0.1
storage:
  delete: {enabled: true}
  cache: {blobdescriptor: redis}
  tag: {concurrencylimit: 8}
  filesystem: {rootdirectory: /srv/registry}
middleware:
  storage: [{name: cloudfront, options: {privatekey: /etc/cloudfront.pem}}]
http:
  host: https://registry.example.com:5000
  tls:
    certificate: /etc/ssl/r.crt
    key: r.key
    clientcas: [/etc/ssl/a.crt, /etc/ssl/b.crt]
auth:
  htpasswd: {realm: basic, path: /etc/registry/htpasswd}
redis:
  tls: {certificate: /etc/ssl/r.crt, key: /etc/ssl/redis.key, rootcas: [/etc/ssl/redis-ca.crt]}
"""

ZOT: dict[str, Any] = {
    "distSpecVersion": "1.1.1",
    "storage": {"rootDirectory": "/var/lib/zot", "dedupe": True},
    "http": {
        "address": "0.0.0.0",
        "port": "5000",
        "externalUrl": "https://zot.example.com",
        "tls": {"cert": "/etc/zot/server.crt", "key": "/etc/zot/server.key", "caCert": "/etc/zot/ca.crt"},
        "auth": {
            "htpasswd": {"path": "htpasswd"},
            "ldap": {"credentialsFile": "/etc/zot/ldap.json"},
            "openid": {"providers": {"oidc": {"credentialsFile": "/etc/zot/oidc.json"}}},
        },
    },
    "extensions": {
        "sync": {"credentialsFile": "/etc/zot/sync.json", "registries": [{"certDir": "/etc/zot/certs"}]}
    },
}


def parsed(text: str | dict[str, Any], path: Path = YML) -> RegistryInstallation:
    said = text if isinstance(text, str) else json.dumps(text)
    return recognising.parse(said.encode(), path)


def paths(found: RegistryInstallation) -> list[str]:
    return [str(each.path) for each in found.needed]


def test_all_that_distribution_names() -> None:
    found = parsed(WHOLE)
    assert (found.program, found.root, found.bucket) == ("distribution", Path("/srv/registry"), None)
    assert (found.host, found.remarks) == ("registry.example.com", ())
    assert paths(found) == [
        "/etc/registry/config.yml",
        "/etc/ssl/r.crt",
        "/etc/registry/r.key",
        "/etc/ssl/a.crt",
        "/etc/ssl/b.crt",
        "/etc/registry/htpasswd",
        "/etc/ssl/redis.key",
        "/etc/ssl/redis-ca.crt",
        "/etc/cloudfront.pem",
    ]


@pytest.mark.parametrize("storage", ["filesystem", "{filesystem: }", "{filesystem: {maxthreads: 100}}"])
def test_where_distribution_keeps_images_unless_told(storage: str) -> None:
    assert parsed(f"version: 0.1\nstorage: {storage}").root == Path("/var/lib/registry")


@pytest.mark.parametrize("driver", ["s3", "s3_v2"])
def test_a_bucket_with_its_keys(driver: str) -> None:
    parameters = (
        "{bucket: images, region: eu-1, rootdirectory: /r, accesskey: AK, secretkey: very-secret-key}"
    )
    found = parsed(f"version: 0.1\nstorage: {{{driver}: {parameters}}}")
    assert found.root is None
    assert found.bucket is not None
    assert (found.bucket.bucket, found.bucket.root, found.bucket.region) == ("images", "r", "eu-1")
    assert found.bucket.credentials["AWS_SECRET_ACCESS_KEY"] == "very-secret-key"
    assert "very-secret-key" not in repr(found)


def test_what_a_bucket_lacks_is_said_by_its_place() -> None:
    with pytest.raises(ConfigError) as caught:
        parsed("version: 0.1\nstorage: {s3: {region: eu-1}}")
    assert caught.value.message == "/etc/registry/config.yml: storage.s3 names no bucket"


@pytest.mark.parametrize(
    ("storage", "said"),
    [
        ("{delete: {enabled: true}}", "names no storage driver"),
        ("{s3: {bucket: b}, filesystem: {}}", "names several storage drivers: s3, filesystem"),
        ("{azure: {container: c}}", "has the images in azure"),
        ("inmemory", "has the images in inmemory"),
    ],
)
def test_storage_that_cannot_be_backed_up(storage: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        parsed(f"version: 0.1\nstorage: {storage}")


def test_a_pull_through_cache_is_told() -> None:
    found = parsed("version: 0.1\nstorage: filesystem\nproxy: {remoteurl: https://far.example.com}")
    assert "pull-through cache" in found.remarks[0]


def test_the_registry_behind_harbor_is_not_taken_for_all_of_it() -> None:
    with pytest.raises(ConfigError) as caught:
        parsed("version: 0.1\nstorage: filesystem\nauth: {htpasswd: {realm: harbor-registry-basic-realm}}")
    assert "--harbor" in caught.value.hint


GITLAB = "version: 0.1\nstorage: {filesystem: {rootdirectory: %s}}\ndatabase: {enabled: %s, host: db}"


@pytest.mark.parametrize("enabled", ["true", "'true'", "prefer"])
def test_gitlabs_metadata_database_is_refused(tmp_path: Path, enabled: str) -> None:
    with pytest.raises(NotSupported, match="GitLab registry with a metadata database"):
        parsed(GITLAB % (tmp_path, enabled))


def test_gitlabs_registry_without_it_is_as_any() -> None:
    assert parsed(GITLAB % ("/srv/registry", "false")).root == Path("/srv/registry")


def test_a_database_that_is_only_preferred_is_none_where_the_tree_says_so(tmp_path: Path) -> None:
    lock = tmp_path / metadata_database.LINKS_IN_USE
    lock.parent.mkdir(parents=True)
    lock.touch()
    assert parsed(GITLAB % (tmp_path, "prefer")).root == tmp_path
    (tmp_path / metadata_database.IN_USE).touch()
    with pytest.raises(NotSupported):
        parsed(GITLAB % (tmp_path, "prefer"))


@pytest.mark.parametrize("key", ["rootDirectory", "rootdirectory", "RootDirectory"])
def test_all_that_zot_names(key: str) -> None:
    storage = {key: "/var/lib/zot"}
    found = parsed(ZOT | {"storage": storage}, Path("/etc/zot/config.json"))
    assert (found.program, found.root, found.host) == ("zot", Path("/var/lib/zot"), "zot.example.com")
    assert paths(found) == [
        "/etc/zot/config.json",
        "/etc/zot/server.crt",
        "/etc/zot/server.key",
        "/etc/zot/ca.crt",
        "/etc/zot/htpasswd",
        "/etc/zot/ldap.json",
        "/etc/zot/oidc.json",
        "/etc/zot/sync.json",
        "/etc/zot/certs",
    ]


def test_zots_metadata_elsewhere_is_told() -> None:
    storage = ZOT["storage"] | {"remoteCache": True, "cacheDriver": {"name": "redis", "url": "redis://r"}}
    assert "in redis" in parsed(ZOT | {"storage": storage}).remarks[0]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"storageDriver": {"name": "s3", "bucket": "b"}}, "has the images in s3"),
        ({"subPaths": {"/a": {"rootDirectory": "/a"}}}, "has the images in 2 directories"),
    ],
)
def test_zots_storage_that_cannot_be_backed_up(more: dict[str, Any], said: str) -> None:
    with pytest.raises(NotSupported, match=said):
        parsed(ZOT | {"storage": ZOT["storage"] | more})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("hostname: h\nhttp: {port: 80}", "seems to be Harbor's harbor.yml"),
        ("services: {}", "is the configuration of no registry that drkit knows"),
        ("[1, 2]", "is the configuration of no registry that drkit knows"),
        ("", "is the configuration of no registry that drkit knows"),
        ("a: [", "is not YAML: there is an error in line 1"),
        ("version: 2020-13-45\nstorage: filesystem", "is not YAML"),
        ("version: '\x01'", "is not YAML"),
        ("[" * 100_000, "is nested too deeply"),
        ("storage: &a {rootDirectory: /x, loop: *a}", "refers to itself"),
    ],
)
def test_what_is_no_such_file(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        parsed(text)


@pytest.mark.parametrize("secret", ["*hunter22", "!hunter22", "'hunter22\n  a: b: c", "hunter22: x: y"])
def test_a_password_that_is_no_yaml_is_not_told(secret: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parsed(f"version: 0.1\nhttp: {{}}\nproxy:\n  password: {secret}\nstorage: filesystem")
    assert "in line" in caught.value.message
    assert "hunter22" not in caught.value.message


def test_json_may_be_indented_by_tabs() -> None:
    text = json.dumps({"storage": {"rootDirectory": "/var/lib/zot"}}, indent="\t")
    assert parsed(text).root == Path("/var/lib/zot")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"cannot read {tmp_path}/none: No such file"):
        recognising.read(tmp_path / "none")
