"""Every error that a user can meet: one sentence, a hint that helps, an exit code.

    DrkitError
     ├─ Failure
     │   ├─ Bug                      1
     │   ├─ UsageError               2
     │   │   └─ TargetNotEmpty       2
     │   ├─ BackupIncomplete         3
     │   ├─ ConfigError              4
     │   │   ├─ NotSupported         4
     │   │   ├─ IdentityRefused      4
     │   │   ├─ SharesRefused        4
     │   │   ├─ NoSuchDrill          4
     │   │   ├─ NoSuchImage          4
     │   │   └─ NoSuchPoint          4
     │   ├─ DrillFailed              5
     │   ├─ ReportAltered            5
     │   ├─ NotGreen                 5
     │   │   └─ ObjectiveMissed      5
     │   ├─ DrillError               6
     │   ├─ ToolFailed               7
     │   │   ├─ ToolMissing          7
     │   │   ├─ ToolTooOld           7
     │   │   ├─ DockerLacks          7
     │   │   ├─ CoreRefuses          7
     │   │   ├─ DatabaseForbids      7
     │   │   ├─ DatabaseUnreachable  7
     │   │   ├─ DatabaseBusy         7
     │   │   ├─ NoSpace              7
     │   │   ├─ TargetUnfit          7
     │   │   ├─ NotServed            7
     │   │   ├─ RegistryRefused      7
     │   │   ├─ RegistryUnreachable  7
     │   │   ├─ ManifestMissing      7
     │   │   ├─ BucketFailed         7
     │   │   ├─ BucketMissing        7
     │   │   ├─ BucketRefused        7
     │   │   ├─ ObjectMissing        7
     │   │   ├─ WrongBytes           7
     │   │   ├─ NotDeleted           7
     │   │   ├─ NotRemoved           7
     │   │   ├─ RestoreDamaged       7
     │   │   ├─ RepositoryDamaged    7
     │   │   ├─ PointsMissing        7
     │   │   ├─ VaultDamaged         7
     │   │   ├─ SourceChanged        7
     │   │   ├─ CannotFreeze         7
     │   │   ├─ NotOurs              7
     │   │   ├─ HookFailed           7
     │   │   ├─ ClusterUnreachable   7
     │   │   ├─ ClusterFailed        7
     │   │   └─ SiteLocked           7
     │   ├─ RepositoryMissing       10
     │   ├─ RepositoryLocked        11
     │   └─ RepositoryRefused       12
     └─ Interrupted            130
         └─ TookTooLong        124

The codes are public (docs/exit-codes.md lists them); 10, 11 and 12 are restic's own numbers.
"""

from __future__ import annotations

import errno
import re
from enum import StrEnum
from typing import ClassVar


class DrkitError(Exception):
    """An error with a sentence for a person (`message`), what to do about it (`hint`) and an exit code.

    `kind` is the class's name in snake case; scripts read it from `--json`.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str = "", result: object = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        # What there is to show all the same: a failed drill's report, an incomplete backup's parts.
        self.result = result

    @property
    def kind(self) -> str:
        """The error's stable name, such as `repository_locked`."""
        return re.sub(r"(?<!^)(?=[A-Z])", "_", type(self).__name__).lower()


class Failure(DrkitError):
    """Every error but an interruption: work that can do without its result may go on after it."""


class Bug(Failure):
    """Something that nobody thought of: an exception that is none of drkit's own."""


class UsageError(Failure):
    """The command line asks for something that makes no sense."""

    exit_code = 2


class TargetNotEmpty(UsageError):
    """A restore would write over something that is there."""


class Disturbance(StrEnum):
    """What of the registry's own life was in the way of a backup: the next may well succeed."""

    GARBAGE_COLLECTION = "garbage_collection"
    TABLES_IN_USE = "tables_in_use"
    PUSHES = "pushes"


class BackupIncomplete(Failure):
    """A source failed, so that no recovery point was sealed.

    `disturbance` is what was in the way, where nothing else was wrong.
    """

    exit_code = 3

    def __init__(
        self, message: str, *, hint: str = "", result: object = None, disturbance: Disturbance | None = None
    ) -> None:
        super().__init__(message, hint=hint, result=result)
        self.disturbance = disturbance


class ConfigError(Failure):
    """The configuration, or a file that it names, is wrong."""

    exit_code = 4


class NotSupported(ConfigError):
    """A registry that this version of drkit does not back up."""


class IdentityRefused(ConfigError):
    """No age identity at hand opens the bundle."""


class SharesRefused(ConfigError):
    """Shares of a secret that do not add up to it."""


class NoSuchDrill(ConfigError):
    """A drill that no report is kept of."""


class NoSuchImage(ConfigError):
    """A pattern that no image of a recovery point matches."""


class NoSuchPoint(ConfigError):
    """A POINT that is unknown, ambiguous or not sealed."""


class DrillFailed(Failure):
    """A drill ran to its end and a check failed, or an objective was missed."""

    exit_code = 5


class ReportAltered(Failure):
    """A drill's report that is not as it was signed, or a folder of them from which one was left out."""

    exit_code = 5


class NotGreen(Failure):
    """Something keeps a site from being green, although its objectives are met; an audit found damage; or the
    drills of a period are not what they should be.
    """

    exit_code = 5


class ObjectiveMissed(NotGreen):
    """An objective is not met at this moment."""


class DrillError(Failure):
    """A drill could not run to a verdict."""

    exit_code = 6


class ToolFailed(Failure):
    """An outside program or service did not do what it was asked."""

    exit_code = 7


class ToolMissing(ToolFailed):
    """An outside program is not installed."""


class ToolTooOld(ToolFailed):
    """An outside program is older than what it has to work with."""


class DockerLacks(ToolFailed):
    """Docker has no container or image of that name."""


class CoreRefuses(ToolFailed):
    """Harbor's core answers, and not with what it was asked for."""


class DatabaseForbids(ToolFailed):
    """PostgreSQL forbids this user what was asked."""


class DatabaseUnreachable(ToolFailed):
    """PostgreSQL does not answer, or refuses us."""


class DatabaseBusy(ToolFailed):
    """Somebody else holds a lock that we need, and did not let go in the time that we wait."""


class NoSpace(ToolFailed):
    """A disk is full; `path` is the file or directory that there was no room for, where that is known."""

    def __init__(self, message: str, *, path: str = "", hint: str = "", result: object = None) -> None:
        super().__init__(message, hint=hint, result=result)
        self.path = path


class TargetUnfit(ToolFailed):
    """The server or the disk that a restore goes to lacks something that it needs."""


class NotServed(ToolFailed):
    """A registry does not have what was asked of it."""


class RegistryRefused(ToolFailed):
    """A registry refuses what was to be pushed."""


class RegistryUnreachable(ToolFailed):
    """A registry does not answer, or only now and then."""


class ManifestMissing(ToolFailed):
    """The bytes of a manifest are not there."""


class BucketFailed(ToolFailed):
    """A bucket's service answered with an error; `code` is its own name for it."""

    def __init__(self, message: str, *, code: str = "", hint: str = "", result: object = None) -> None:
        super().__init__(message, hint=hint, result=result)
        self.code = code


class BucketMissing(ToolFailed):
    """There is no bucket of that name at that endpoint."""


class BucketRefused(ToolFailed):
    """A bucket's service refuses the credentials, or what they ask for; the message names what that was."""


class ObjectMissing(ToolFailed):
    """A bucket has no object of that key, or no such version of it."""


class WrongBytes(ToolFailed):
    """A blob's bytes are not those that its name promises."""


class NotDeleted(ToolFailed):
    """A bucket kept objects that were to be deleted: `kept` says which, and in its service's words why."""

    def __init__(
        self,
        message: str,
        *,
        kept: tuple[tuple[str, str | None, str], ...] = (),
        hint: str = "",
        result: object = None,
    ) -> None:
        super().__init__(message, hint=hint, result=result)
        self.kept = kept


class NotRemoved(ToolFailed):
    """A repository kept snapshots that were to be removed: `left` are their ids."""

    def __init__(
        self, message: str, *, left: tuple[str, ...] = (), hint: str = "", result: object = None
    ) -> None:
        super().__init__(message, hint=hint, result=result)
        self.left = left


class RestoreDamaged(ToolFailed):
    """What came back is not what was backed up."""


class RepositoryDamaged(ToolFailed):
    """What a repository holds is not what was stored in it; `packs` are the damaged ones, if known."""

    def __init__(
        self, message: str, *, hint: str = "", result: object = None, packs: tuple[str, ...] = ()
    ) -> None:
        super().__init__(message, hint=hint, result=result)
        self.packs = packs


class PointsMissing(ToolFailed):
    """Sealed points that were seen in a repository are there no more, and no `expire` removed them."""


class VaultDamaged(ToolFailed):
    """A vault lacks blobs that a recovery point needs, or has other bytes for them."""


class SourceChanged(ToolFailed):
    """Files or tables that were to be captured vanished or changed, so the capture is not whole."""


class CannotFreeze(ToolFailed):
    """A directory cannot be frozen by its file system, and why."""


class NotOurs(ToolFailed):
    """Something bears the name of what we made, and is something else: hands off."""


class ClusterUnreachable(ToolFailed):
    """No scheduler of a cluster answers."""


class ClusterFailed(ToolFailed):
    """A cluster cannot do the work: no worker that can be used, or a unit of it that failed three times."""


class HookFailed(ToolFailed):
    """A program of [[hook]] that has to succeed did not."""


class SiteLocked(ToolFailed):
    """Another drkit works on this site."""


class RepositoryMissing(Failure):
    """There is no restic repository at that address."""

    exit_code = 10


class RepositoryLocked(Failure):
    """Another restic holds a lock on the repository."""

    exit_code = 11


class RepositoryRefused(Failure):
    """The repository does not open with this password."""

    exit_code = 12


class Interrupted(DrkitError):
    """Somebody, or the system, told drkit to stop."""

    exit_code = 130


class TookTooLong(Interrupted):
    """A command ran longer than [max_duration] allows, and was ended in the same way."""

    # That of timeout(1).
    exit_code = 124


_FULL = (errno.ENOSPC, errno.EDQUOT)
_CLOSED = (errno.EROFS, errno.EACCES, errno.EPERM)
_BROKEN = (errno.EIO, errno.ESTALE, errno.ENODEV)


def of_system(error: OSError) -> DrkitError | None:
    """What the system refuses to us, in a sentence; None for what must be a bug of ours."""
    where = f" for {error.filename}" if error.filename else ""
    if error.errno in _FULL:
        return NoSpace(
            f"no space is left{where}: {error.strerror}",
            path=str(error.filename or ""),
            hint="make room and run it again",
        )
    if error.errno in _CLOSED:
        return ConfigError(
            f"the system refuses a file of drkit's own{where}: {error.strerror}",
            hint="drkit's user must be able to write to state in [site], to the sandbox and to TMPDIR",
        )
    if error.errno in _BROKEN:
        return ToolFailed(
            f"a disk fails{where}: {error.strerror}", hint="see what the system's log says of it"
        )
    return None


def failure_of(error: Exception) -> DrkitError:
    """An error of ours as it is, or what the system refuses to us; raises the error itself if it is a bug."""
    if isinstance(error, DrkitError):
        return error
    known = of_system(error) if isinstance(error, OSError) else None
    if known is None:
        raise error
    return known
