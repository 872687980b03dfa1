"""What it means where a registry refuses a push, by its status and its words; pure."""

from __future__ import annotations

import json
from typing import Any

from drkit.errors import ConfigError, DrkitError, RegistryRefused

_LONGEST = 300


def said(body: bytes) -> tuple[str, str]:
    """Code and message of the first error in an answer (OCI distribution specification, "Error Codes")."""
    try:
        first: Any = json.loads(body)["errors"][0]
        return str(first.get("code", "")), str(first.get("message", ""))[:_LONGEST]
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return "", ""


def refusal(what: str, repository: str, status: int, body: bytes) -> DrkitError:
    """The error for an answer that is none of success; `what` was to be pushed."""
    code, message = said(body)
    told = f"the registry refuses {what}: {', '.join(filter(None, (str(status), code, message)))}"
    lower = f"{code} {message}".lower()
    if "quota" in lower or "exceed" in lower or status in (413, 507):
        return RegistryRefused(told, hint="raise the project's quota or make room, then run it again")
    if "immutable" in lower or status == 412:
        return RegistryRefused(
            told,
            hint="a rule makes the tag immutable: --rename gives it another name, or lift the rule meanwhile",
        )
    if "read only" in lower or "read-only" in lower or "readonly" in lower or status in (405, 503):
        return RegistryRefused(
            told, hint="the registry is read-only or does not work now; run it again later"
        )
    if status in (401, 403, 404):
        return _no_access(told, repository)
    return RegistryRefused(told, hint="run it again: what is there by then is not sent again")


def _no_access(told: str, repository: str) -> DrkitError:
    project = repository.partition("/")[0]
    return RegistryRefused(
        told,
        hint=f"the project {project} is missing there, or this user may not push to it: create it, or name"
        " another with --rename",
    )


def wrong_login(where: str, user: str | None, status: int) -> ConfigError:
    """The registry lets nobody in with these credentials."""
    who = user or "a client without credentials"
    return ConfigError(
        f"the registry {where} refuses {who}: {status}",
        hint="give --credentials FILE with a line user:password, of a user or robot that may push",
    )
