"""What a backup found wrong with a key or a certificate, by kind."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class KeyFaultKind(StrEnum):
    """How a private key and its certificate do not go together."""

    NOT_THERE = "not_there"
    EMPTY = "empty"
    NO_KEY = "no_key"
    NO_CERTIFICATE = "no_certificate"
    OTHERS_KEY = "others_key"


@dataclass(frozen=True)
class KeyFault:
    """A file by its path; of another's key, `certificate` is the one that it does not fit."""

    kind: KeyFaultKind
    path: str
    certificate: str = ""

    @property
    def said(self) -> str:
        """For a person; what a library says of unreadable bytes helps nobody."""
        match self.kind:
            case KeyFaultKind.NOT_THERE:
                return f"{self.path} is not in the bundle"
            case KeyFaultKind.EMPTY:
                return f"{self.path} is empty"
            case KeyFaultKind.NO_KEY:
                return f"{self.path} cannot be read as a key"
            case KeyFaultKind.NO_CERTIFICATE:
                return f"{self.path} cannot be read as a certificate"
            case KeyFaultKind.OTHERS_KEY:
                return f"{self.path} is not the key of {self.certificate}"


def no_key(path: str, data: bytes) -> KeyFault:
    """What is wrong with bytes that should be a key and cannot be read as one."""
    return KeyFault(KeyFaultKind.NO_KEY if data.strip() else KeyFaultKind.EMPTY, path)


def no_certificate(path: str, data: bytes) -> KeyFault:
    """The same for a certificate."""
    return KeyFault(KeyFaultKind.NO_CERTIFICATE if data.strip() else KeyFaultKind.EMPTY, path)
