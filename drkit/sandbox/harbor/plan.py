"""What Harbor is started with: its parts, their environment, their files and whose they are; pure.

As `prepare` writes it below common/config (make/photon/prepare/templates), but for the network: all parts
share one that has nothing but its loopback. Services find one another at 127.0.0.1, and nothing else. Whether
they are containers or processes of this machine makes no difference but where their files are.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from drkit.harbor.installation import Installation

# Harbor's user in all of its images.
HARBOR = 10000
API_PORT = 8080
DATABASE_PORT = 5432
CACHE_PORT = 6379
_REGISTRY_PORT = 5000
_JOBS_PORT = 8888
_REGISTRY_USER = "harbor_registry_user"
_HOME = "http://127.0.0.1"
_CACHE = f"redis://127.0.0.1:{CACHE_PORT}"
# What is not started has an address all the same, at which nobody answers.
_NOBODY = f"{_HOME}:9"
# Redis databases as in harbor.yml's defaults.
_CACHE_CORE, _CACHE_REGISTRY, _CACHE_JOBS = 0, 1, 2


@dataclass(frozen=True)
class Places:
    """Where Harbor's programs find their files: by default where its images have them."""

    core: str = "/etc/core"
    registry: str = "/etc/registry"
    jobs: str = "/etc/jobservice"
    storage: str = "/storage"
    cache: str = "/var/lib/redis"

    @classmethod
    def below(cls, directory: Path) -> Places:
        """Directories of one's own, for programs of this machine."""
        names = ("core", "registry", "jobservice", "storage", "cache")
        return cls(*(str(directory / f"for-{name}") for name in names))


@dataclass(frozen=True)
class File:
    """A file that a part sees and does not change: where, what is in it, and whose it is (mode 0400)."""

    target: str
    data: bytes = field(repr=False)
    owner: int = HARBOR


@dataclass(frozen=True)
class Part:
    """One part of Harbor: its name within the sandbox, what it gets; `storage` are the restored images.

    `memory` is its limit in bytes, `capabilities` what Harbor's own containers have.
    """

    name: str
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    files: tuple[File, ...] = ()
    empty_directories: tuple[str, ...] = ()
    capabilities: tuple[str, ...] = ()
    storage: bool = False
    memory: int = 1 << 30


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
    """The parts in the order in which they start; `jobs` is None where there is no program for them."""

    cache: Part
    registry: Part
    core: Part
    jobs: Part | None


@dataclass(frozen=True)
class Planner:
    """Plans for one restored point; `database` is the restored one's name.

    `jobs` says whether there is a jobservice to start.
    """

    installation: Installation
    database: str
    keys: Keys
    made: Made
    places: Places
    jobs: bool

    def plan(self) -> Plan:
        """What to start."""
        return Plan(
            # Empty, always: what one knew of before the restore breaks pushes afterwards.
            Part("cache", empty_directories=(self.places.cache,), memory=512 << 20),
            Part(
                "registry",
                files=tuple(self._registry_files()),
                storage=True,
                capabilities=("CHOWN", "SETGID", "SETUID"),
            ),
            self.core(self.keys),
            self._jobservice() if self.jobs else None,
        )

    def core(self, keys: Keys) -> Part:
        """Harbor's core with these keys; it migrates a database at its start if it is newer than that."""
        place = self.places.core
        application = (
            f"appname = Harbor\nrunmode = prod\nenablegzip = true\n\n[prod]\nhttpport = {API_PORT}\n"
        )
        return Part(
            "core",
            environment=self._environment(),
            files=(
                File(f"{place}/app.conf", application.encode()),
                File(f"{place}/key", keys.secret_key),
                File(f"{place}/private_key.pem", keys.token_key),
            ),
            empty_directories=(f"{place}/certificates", f"{place}/ca"),
            capabilities=("SETGID", "SETUID"),
        )

    def _jobservice(self) -> Part:
        settings = {
            "protocol": "http",
            "port": _JOBS_PORT,
            "worker_pool": {
                "workers": 1,
                "backend": "redis",
                "redis_pool": {
                    "redis_url": f"{_CACHE}/{_CACHE_JOBS}",
                    "namespace": "harbor_job_service_namespace",
                    "idle_timeout_second": 3600,
                },
            },
            "job_loggers": [{"name": "STD_OUTPUT", "level": "INFO"}],
            "loggers": [{"name": "STD_OUTPUT", "level": "INFO"}],
            "reaper": {"max_update_hours": 24, "max_dangling_hours": 168},
        }
        # JSON is YAML as well.
        file = File(f"{self.places.jobs}/config.yml", json.dumps(settings, indent=1).encode())
        return Part(
            "jobservice",
            environment={**self._shared(), "LOG_LEVEL": "info"},
            files=(file,),
            capabilities=("CHOWN", "SETGID", "SETUID"),
        )

    def _shared(self) -> dict[str, str]:
        """What core and jobservice are both told."""
        return {
            "CORE_URL": f"{_HOME}:{API_PORT}",
            "CORE_SECRET": self.made.shared,
            "JOBSERVICE_SECRET": self.made.shared,
            "REGISTRY_URL": f"{_HOME}:{_REGISTRY_PORT}",
            "REGISTRY_CONTROLLER_URL": _NOBODY,
            "REGISTRY_CREDENTIAL_USERNAME": _REGISTRY_USER,
            "REGISTRY_CREDENTIAL_PASSWORD": self.made.registry,
            "NO_PROXY": "127.0.0.1,localhost",
        }

    def _environment(self) -> dict[str, str]:
        place, made = self.places.core, self.made
        return {
            **self._shared(),
            "CONFIG_PATH": f"{place}/app.conf",
            "KEY_PATH": f"{place}/key",
            "TOKEN_PRIVATE_KEY_PATH": f"{place}/private_key.pem",
            "PORT": str(API_PORT),
            "LOG_LEVEL": "info",
            "EXT_ENDPOINT": self.installation.url,
            "DATABASE_TYPE": "postgresql",
            "POSTGRESQL_HOST": "127.0.0.1",
            "POSTGRESQL_PORT": str(DATABASE_PORT),
            "POSTGRESQL_USERNAME": user(self.installation),
            # The sandbox's server asks for none.
            "POSTGRESQL_PASSWORD": made.shared,
            "POSTGRESQL_DATABASE": self.database,
            "POSTGRESQL_SSLMODE": "disable",
            "POSTGRESQL_MAX_IDLE_CONNS": "2",
            "POSTGRESQL_MAX_OPEN_CONNS": "20",
            "POSTGRESQL_CONN_MAX_LIFETIME": "5m",
            "POSTGRESQL_CONN_MAX_IDLE_TIME": "0",
            "_REDIS_URL_CORE": f"{_CACHE}?idle_timeout_seconds=30",
            "_REDIS_URL_REG": f"{_CACHE}/{_CACHE_REGISTRY}?idle_timeout_seconds=30",
            "REGISTRY_STORAGE_PROVIDER_NAME": "filesystem",
            "TOKEN_SERVICE_URL": f"{_HOME}:{API_PORT}/service/token",
            "PORTAL_URL": _NOBODY,
            "JOBSERVICE_URL": f"{_HOME}:{_JOBS_PORT}" if self.jobs else _NOBODY,
            "TRIVY_ADAPTER_URL": _NOBODY,
            "CORE_LOCAL_URL": f"{_HOME}:{API_PORT}",
            "CSRF_KEY": made.csrf,
            "RELOAD_KEY": made.shared,
            "WITH_TRIVY": "false",
            "READ_ONLY": "false",
            "ROBOT_SCANNER_NAME_PREFIX": "drill",
            "QUOTA_UPDATE_PROVIDER": "db",
            "PERMITTED_REGISTRY_TYPES_FOR_PROXY_CACHE": "docker-hub,harbor,docker-registry",
            "MAX_JOB_WORKERS": "1",
        }

    def _registry_files(self) -> Iterator[File]:
        place, made = self.places.registry, self.made
        settings = {
            "version": 0.1,
            "log": {"level": "info", "fields": {"service": "registry"}},
            "storage": {
                "cache": {"layerinfo": "redis"},
                "filesystem": {"rootdirectory": self.places.storage},
                "maintenance": {"uploadpurging": {"enabled": False}},
                "delete": {"enabled": True},
            },
            "redis": {"addr": f"127.0.0.1:{CACHE_PORT}", "db": _CACHE_REGISTRY},
            "http": {"addr": f"127.0.0.1:{_REGISTRY_PORT}", "secret": made.shared},
            "auth": {"htpasswd": {"realm": "harbor-registry-basic-realm", "path": f"{place}/passwd"}},
            "validation": {"disabled": True},
            "compatibility": {"schema1": {"enabled": True}},
        }
        yield File(f"{place}/config.yml", json.dumps(settings, indent=1).encode())
        yield File(f"{place}/passwd", f"{_REGISTRY_USER}:{made.registry_hash}\n".encode())
        if self.keys.certificate is not None:
            yield File(f"{place}/root.crt", self.keys.certificate)


def user(installation: Installation) -> str:
    """The role that Harbor logs in as."""
    return installation.database.user if installation.database else "postgres"
