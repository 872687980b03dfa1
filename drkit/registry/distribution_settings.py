"""distribution's config.yml, and that of GitLab's registry, which began as a copy of it.

The keys are those of configuration/configuration.go of 2.8 and 3.1; between these, files moved nowhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from drkit.errors import ConfigError, NotSupported
from drkit.model.needed import Needed
from drkit.registry import bucket_parameters, metadata_database
from drkit.registry.bucket_parameters import Place
from drkit.registry.installation import References, RegistryInstallation, host_of, referred, section

_DEFAULT_ROOT = "/var/lib/registry"
# Beside the driver below `storage`.
_NO_DRIVERS = frozenset({"cache", "delete", "maintenance", "redirect", "tag"})
# By which a registry behind Harbor is known (Harbor's make/photon/prepare/templates/registry/config.yml).
_HARBORS_REALM = "harbor-registry-basic-realm"

_REFERENCES: References = (
    (("http", "tls", "certificate"), "the registry's certificate"),
    (("http", "tls", "key"), "the private key of that certificate"),
    (("http", "tls", "clientcas"), "the CA certificates of clients"),
    (("http", "tls", "letsencrypt", "cachefile"), "certificates and keys from Let's Encrypt"),
    (("auth", "htpasswd", "path"), "the users and the hashes of their passwords"),
    (("auth", "token", "rootcertbundle"), "the certificates of the token service"),
    (("auth", "token", "jwks"), "the public keys of the token service"),
    (("redis", "tls", "certificate"), "the certificate for Redis"),
    (("redis", "tls", "key"), "the private key for Redis"),
    (("redis", "tls", "rootcas"), "the CA certificates of Redis"),
    (("storage", "gcs", "keyfile"), "the key of the Google storage"),
    (("middleware", "storage", "*", "options", "privatekey"), "the private key for CloudFront"),
)


def is_one(document: Mapping[str, Any]) -> bool:
    """Whether a document may be a configuration of this program."""
    return "version" in document and "storage" in document


def parse(document: Mapping[str, Any], file: Path) -> RegistryInstallation:
    """The registry that a config.yml describes.

    Raises ConfigError, NotSupported where its images, or what says which there are, cannot be backed up.
    """
    if section(section(document, "auth"), "htpasswd").get("realm") == _HARBORS_REALM:
        raise ConfigError(
            f"{file} is that of the registry behind a Harbor, whose database knows more than it",
            hint="name Harbor's own file: --harbor harbor.yml",
        )
    http = section(document, "http")
    needed = (Needed(file, "the registry's settings"), *referred(document, file, _REFERENCES))
    found = RegistryInstallation(
        "distribution", file, host=host_of(http.get("host")), needed=needed, remarks=_remarks(document)
    )
    name, parameters = _driver(document, file)
    database = str(section(document, "database").get("enabled") or "").lower()
    match name:
        case "filesystem":
            root = file.parent / str(parameters.get("rootdirectory") or _DEFAULT_ROOT)
            metadata_database.refuse(database, file, root)
            return replace(found, root=root)
        case "s3" | "s3_v2":
            metadata_database.refuse(database, file)
            bucket = bucket_parameters.bucket(parameters, Place(file, f"storage.{name}"))
            return replace(found, bucket=bucket, remarks=(*found.remarks, *bucket.regrets))
        case _:
            raise NotSupported(
                f"{file} has the images in {name}, which this version of drkit does not back up",
                hint="a registry with its images in a directory (filesystem) or in S3 can be backed up",
            )


def _driver(document: Mapping[str, Any], file: Path) -> tuple[str, Mapping[str, Any]]:
    """The storage driver and its parameters; raises ConfigError where there is not exactly one."""
    storage = document.get("storage")
    if isinstance(storage, str):
        return storage, {}
    names = [name for name in section(document, "storage") if name not in _NO_DRIVERS]
    if len(names) != 1:
        said = f"several storage drivers: {', '.join(names)}" if names else "no storage driver"
        raise ConfigError(
            f"{file} names {said}",
            hint="see storage there; what environment variables set (REGISTRY_STORAGE_...) drkit cannot see",
        )
    return names[0], section(section(document, "storage"), names[0])


def _remarks(document: Mapping[str, Any]) -> tuple[str, ...]:
    if not section(document, "proxy").get("remoteurl"):
        return ()
    return (
        "it is a pull-through cache: what was never pulled through it is in no backup, and what it has"
        " fetched goes away after its ttl",
    )
