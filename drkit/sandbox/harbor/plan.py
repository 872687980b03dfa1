"""What Harbor is started with: containers, their environment, their files and whose they are; pure.

As `prepare` writes it below common/config (make/photon/prepare/templates), but for the network: all
containers share one that has nothing but its loopback. Services find one another at 127.0.0.1, and nothing
else.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from drkit.harbor.installation import Installation
from drkit.sandbox.harbor.choice import Images

# Harbor's user in all of its images.
HARBOR = 10000
API_PORT = 8080
DATABASE_PORT = 5432
_REGISTRY_PORT = 5000
_CACHE_PORT = 6379
_NOBODY_PORT = 9
_REGISTRY_USER = "harbor_registry_user"
_HOME = "http://127.0.0.1"
# Redis databases as in harbor.yml's defaults.
_CACHE_CORE, _CACHE_REGISTRY = 0, 1


@dataclass(frozen=True)
class File:
    """A file that a container sees, read-only: where, what is in it, and whose it is (mode 0400)."""

    target: str
    data: bytes = field(repr=False)
    owner: int = HARBOR


@dataclass(frozen=True)
class Container:
    """One container: its name within the sandbox, what it gets; `storage` are the restored images."""

    name: str
    image: str
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    files: tuple[File, ...] = ()
    empty_directories: tuple[str, ...] = ()
    capabilities: tuple[str, ...] = ()
    storage: bool = False
    memory: str = "1g"


@dataclass(frozen=True)
class Keys:
    """What of the secrets bundle Harbor starts with; `certificate` is the token key's, if there is one."""

    secret_key: bytes = field(repr=False)
    token_key: bytes = field(repr=False)
    certificate: bytes | None = None


@dataclass(frozen=True)
class Made:
    """Passwords made up for one sandbox, and the registry's for core, hashed as its htpasswd has it."""

    registry: str
    registry_hash: str
    shared: str
    csrf: str


@dataclass(frozen=True)
class Plan:
    """The containers in the order in which they start: the first has the network that the others share."""

    cache: Container
    registry: Container
    core: Container


def plan(installation: Installation, database: str, keys: Keys, images: Images, made: Made) -> Plan:
    """What to start; `database` is the name of the restored one."""
    return Plan(
        # Empty, always: what one knew of before the restore breaks pushes afterwards.
        Container("cache", images.cache, empty_directories=("/var/lib/redis",), memory="512m"),
        Container(
            "registry",
            images.registry,
            files=_registry_files(keys, made),
            storage=True,
            capabilities=("CHOWN", "SETGID", "SETUID"),
        ),
        core(installation, database, keys, images, made),
    )


def core(installation: Installation, database: str, keys: Keys, images: Images, made: Made) -> Container:
    """Harbor's core, which migrates a database at its start if it is newer than that."""
    application = f"appname = Harbor\nrunmode = prod\nenablegzip = true\n\n[prod]\nhttpport = {API_PORT}\n"
    return Container(
        "core",
        images.core,
        environment=_environment(installation, database, made),
        files=(
            File("/etc/core/app.conf", application.encode()),
            File("/etc/core/key", keys.secret_key),
            File("/etc/core/private_key.pem", keys.token_key),
        ),
        empty_directories=("/etc/core/certificates", "/etc/core/ca"),
        capabilities=("SETGID", "SETUID"),
    )


def user(installation: Installation) -> str:
    """The role that Harbor logs in as."""
    return installation.database.user if installation.database else "postgres"


def _environment(installation: Installation, database: str, made: Made) -> dict[str, str]:
    cache = f"redis://127.0.0.1:{_CACHE_PORT}"
    # What is not started has an address all the same, at which nobody answers.
    nobody = f"{_HOME}:{_NOBODY_PORT}"
    return {
        "CONFIG_PATH": "/etc/core/app.conf",
        "KEY_PATH": "/etc/core/key",
        "PORT": str(API_PORT),
        "LOG_LEVEL": "info",
        "EXT_ENDPOINT": installation.url,
        "DATABASE_TYPE": "postgresql",
        "POSTGRESQL_HOST": "127.0.0.1",
        "POSTGRESQL_PORT": str(DATABASE_PORT),
        "POSTGRESQL_USERNAME": user(installation),
        # The sandbox's server asks for none.
        "POSTGRESQL_PASSWORD": made.shared,
        "POSTGRESQL_DATABASE": database,
        "POSTGRESQL_SSLMODE": "disable",
        "POSTGRESQL_MAX_IDLE_CONNS": "2",
        "POSTGRESQL_MAX_OPEN_CONNS": "20",
        "POSTGRESQL_CONN_MAX_LIFETIME": "5m",
        "POSTGRESQL_CONN_MAX_IDLE_TIME": "0",
        "_REDIS_URL_CORE": f"{cache}?idle_timeout_seconds=30",
        "_REDIS_URL_REG": f"{cache}/{_CACHE_REGISTRY}?idle_timeout_seconds=30",
        "REGISTRY_URL": f"{_HOME}:{_REGISTRY_PORT}",
        "REGISTRY_STORAGE_PROVIDER_NAME": "filesystem",
        "REGISTRY_CREDENTIAL_USERNAME": _REGISTRY_USER,
        "REGISTRY_CREDENTIAL_PASSWORD": made.registry,
        "REGISTRY_CONTROLLER_URL": nobody,
        "TOKEN_SERVICE_URL": f"{_HOME}:{API_PORT}/service/token",
        "PORTAL_URL": nobody,
        "JOBSERVICE_URL": nobody,
        "TRIVY_ADAPTER_URL": nobody,
        "CORE_URL": f"{_HOME}:{API_PORT}",
        "CORE_LOCAL_URL": f"{_HOME}:{API_PORT}",
        "CORE_SECRET": made.shared,
        "JOBSERVICE_SECRET": made.shared,
        "CSRF_KEY": made.csrf,
        "RELOAD_KEY": made.shared,
        "WITH_TRIVY": "false",
        "READ_ONLY": "false",
        "ROBOT_SCANNER_NAME_PREFIX": "drill",
        "QUOTA_UPDATE_PROVIDER": "db",
        "PERMITTED_REGISTRY_TYPES_FOR_PROXY_CACHE": "docker-hub,harbor,docker-registry",
        "MAX_JOB_WORKERS": "1",
        "NO_PROXY": "127.0.0.1,localhost",
    }


def _registry_files(keys: Keys, made: Made) -> tuple[File, ...]:
    settings = {
        "version": 0.1,
        "log": {"level": "info", "fields": {"service": "registry"}},
        "storage": {
            "cache": {"layerinfo": "redis"},
            "filesystem": {"rootdirectory": "/storage"},
            "maintenance": {"uploadpurging": {"enabled": False}},
            "delete": {"enabled": True},
        },
        "redis": {"addr": f"127.0.0.1:{_CACHE_PORT}", "db": _CACHE_REGISTRY},
        "http": {"addr": f"127.0.0.1:{_REGISTRY_PORT}", "secret": made.shared},
        "auth": {"htpasswd": {"realm": "harbor-registry-basic-realm", "path": "/etc/registry/passwd"}},
        "validation": {"disabled": True},
        "compatibility": {"schema1": {"enabled": True}},
    }
    files = [
        # JSON is YAML as well.
        File("/etc/registry/config.yml", json.dumps(settings, indent=1).encode()),
        File("/etc/registry/passwd", f"{_REGISTRY_USER}:{made.registry_hash}\n".encode()),
    ]
    if keys.certificate is not None:
        files.append(File("/etc/registry/root.crt", keys.certificate))
    return tuple(files)
