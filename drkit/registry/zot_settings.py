"""zot's configuration file, JSON or YAML; whatever the case of its keys, as zot itself reads it.

The keys are those of pkg/api/config/config.go and pkg/extensions/config of zot 2.1.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from drkit.errors import ConfigError, NotSupported
from drkit.model.needed import Needed
from drkit.registry.installation import References, RegistryInstallation, host_of, referred, section

_REFERENCES: References = (
    (("http", "tls", "cert"), "the registry's certificate"),
    (("http", "tls", "key"), "the private key of that certificate"),
    (("http", "tls", "cacert"), "the CA certificates of clients"),
    (("http", "auth", "htpasswd", "path"), "the users and the hashes of their passwords"),
    (("http", "auth", "ldap", "credentialsfile"), "the login at the LDAP server"),
    (("http", "auth", "ldap", "cacert"), "the CA certificates of the LDAP server"),
    (("http", "auth", "openid", "providers", "*", "credentialsfile"), "the login at the OpenID provider"),
    (("http", "auth", "bearer", "cert"), "the certificate of the token service"),
    (("http", "auth", "sessionkeysfile"), "the keys of the sessions"),
    (("extensions", "sync", "credentialsfile"), "the logins at the registries that are mirrored"),
    (("extensions", "sync", "registries", "*", "certdir"), "certificates for a registry that is mirrored"),
    (("cluster", "tls", "cert"), "the certificate between the members of the cluster"),
    (("cluster", "tls", "key"), "the private key between the members of the cluster"),
    (("cluster", "tls", "cacert"), "the CA certificates of the cluster"),
)


def is_one(document: Mapping[str, Any]) -> bool:
    """Whether a document may be a configuration of this program."""
    return "rootdirectory" in section(_lower(document), "storage")


def parse(document: Mapping[str, Any], file: Path) -> RegistryInstallation:
    """The registry that a configuration describes.

    Raises ConfigError, NotSupported where its images cannot be backed up.
    """
    lower = _lower(document)
    storage = section(lower, "storage")
    root = str(storage.get("rootdirectory") or "")
    if driver := section(storage, "storagedriver"):
        raise NotSupported(
            f"{file} has the images in {driver.get('name', 'a bucket')} (storage.storageDriver), and this"
            " version of drkit backs up zot's images from a directory alone",
            hint="copy that bucket by its own service's means",
        )
    if places := section(storage, "subpaths"):
        raise NotSupported(
            f"{file} has the images in {len(places) + 1} directories (storage.subPaths), and this version of"
            " drkit backs up one",
            hint="a configuration and a state directory of its own for each directory can be written by hand",
        )
    if not root:
        raise ConfigError(f"{file} does not say where the images are", hint="see storage.rootDirectory there")
    needed = (Needed(file, "the registry's settings"), *referred(lower, file, _REFERENCES))
    host = host_of(section(lower, "http").get("externalurl"))
    return RegistryInstallation("zot", file, file.parent / root, None, host, needed, tuple(_remarks(storage)))


def _remarks(storage: Mapping[str, Any]) -> list[str]:
    name = section(storage, "cachedriver").get("name")
    if not name or not storage.get("remotecache"):
        return []
    return [f"users' API keys, bookmarks and stars are in {name} (storage.cacheDriver), and not backed up"]


def _lower(document: Mapping[str, Any]) -> dict[str, Any]:
    return {
        str(key).lower(): _lower(value)
        if isinstance(value, dict)
        else [_lower(each) if isinstance(each, dict) else each for each in value]
        if isinstance(value, list)
        else value
        for key, value in document.items()
    }
