"""Whether these credentials could destroy a repository in a bucket.

Asked is for the deletion of an object that is not there. S3 answers as it would for one that is, and nothing
is removed; where the bucket keeps versions it is that of a version, or the question would leave a marker.
"""

from __future__ import annotations

from collections.abc import Mapping

from drkit.errors import BucketRefused, NotDeleted, ToolFailed
from drkit.tools.restic.bucket import place
from drkit.tools.restic.removals import NOBODY, Removals
from drkit.tools.s3.bucket import NULL_VERSION, Bucket


def look(url: str, credentials: Mapping[str, str]) -> Removals:
    """Whether objects may be deleted there, and are gone for good then."""
    found = place(url, credentials)
    if found is None:
        return Removals(None, "its address is not understood")
    try:
        with Bucket(found.access) as bucket:
            return _ask(bucket, f"{found.prefix}{NOBODY}")
    except ToolFailed as error:
        return Removals(None, f"its service does not tell: {error.message}")


def _ask(bucket: Bucket, nobody: str) -> Removals:
    days, versions = bucket.locks_new_for(), bucket.versioning()
    if days is not None:
        kept = f"its bucket locks for {days} days what is put there"
        return Removals(None, "its bucket keeps and locks versions", kept)
    refused = _refused(bucket, nobody, NULL_VERSION if versions else None)
    if versions and refused:
        kept = f"its bucket keeps versions, which these credentials may not delete ({refused})"
        return Removals(None, "its bucket keeps versions", kept)
    if refused:
        return Removals(False, f"its service refuses a deletion ({refused})")
    return Removals(True, f"its service lets these credentials delete{' versions' if versions else ''}")


def _refused(bucket: Bucket, key: str, version: str | None) -> str:
    """Why an object, or its version, may not be deleted; nothing where it may."""
    try:
        bucket.delete([(key, version)])
    except NotDeleted as error:
        return error.kept[0][2]
    except BucketRefused as error:
        return error.message
    return ""
