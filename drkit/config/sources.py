"""What is protected: `[[database]]`, `[blobs]` with its `[vault]`, `[secrets]`."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import AfterValidator, Discriminator, Field, Tag

from drkit.config.fields import (
    AbsolutePath,
    Duration,
    Name,
    Rate,
    bucket_name,
    key_prefix,
    no_password_in_dsn,
    web_address,
)
from drkit.config.section import Section


class Database(Section):
    """`[[database]]`: a PostgreSQL database, by libpq connection string, or by the container it runs in.

    `container` is docker's name of it; `dsn` may then say more than the user postgres and database registry.
    `count_only` names tables (`audit_log`, `public.audit_*`) whose rows are counted and not hashed;
    `lock_wait` is how long to wait in all for tables that a migration holds.
    """

    name: Name
    dsn: Annotated[str, AfterValidator(no_password_in_dsn)] | None = None
    container: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")] | None = None
    password_file: AbsolutePath | None = None
    count_only: tuple[str, ...] = ()
    lock_wait: Duration = timedelta(seconds=30)


class DirectoryBlobs(Section):
    """`[blobs]` in a directory: the registry's root directory, and how it is held still while it is read."""

    path: AbsolutePath
    volume: Literal["auto", "btrfs", "zfs", "lvm", "reflink", "live"] = "auto"

    @property
    def where(self) -> str:
        """The root directory, for a person and for the manifest."""
        return str(self.path)


class FilesystemBlobs(DirectoryBlobs):
    """`[blobs]` in a directory with distribution's storage tree."""

    kind: Literal["filesystem"] = "filesystem"


class LayoutBlobs(DirectoryBlobs):
    """`[blobs]` in a directory with an OCI image layout for each repository, as zot keeps them."""

    kind: Literal["oci"]


class S3(Section):
    """How to reach a bucket, and as whom.

    Without `endpoint` it is Amazon's. The credentials are KEY=value lines in `credentials_file`, or a
    `profile` of ~/.aws, or, where neither is named, what the environment or the machine has.
    """

    bucket: Annotated[str, AfterValidator(bucket_name)]
    endpoint: Annotated[str, AfterValidator(web_address)] | None = None
    region: Annotated[str, Field(pattern=r"^[A-Za-z0-9-]+$")] | None = None
    credentials_file: AbsolutePath | None = None
    profile: str | None = None
    ca_file: AbsolutePath | None = None
    addressing: Literal["auto", "path", "virtual"] = "auto"
    download_limit: Rate | None = None


class BucketBlobs(S3):
    """`[blobs]` in a bucket: the registry's own; `root` is its `rootdirectory`."""

    kind: Literal["s3"]
    root: Annotated[str, AfterValidator(key_prefix)] = ""

    @property
    def where(self) -> str:
        """The root directory in its bucket, for a person and for the manifest: `s3://bucket/root`."""
        return f"s3://{self.bucket}/{self.root}".rstrip("/")


class Vault(S3):
    """`[vault]`: the bucket where the blobs of a bucket are kept under their digest, below `prefix`.

    `lock` is the mode in which blobs are locked where the bucket has Object Lock; `lock_for` how long at
    least, where retention alone does not tell. `shared` lets a backup use a vault that keeps the blobs of
    another repository, too.
    """

    prefix: Annotated[str, AfterValidator(key_prefix)] = ""

    @property
    def where(self) -> str:
        """For a person: `s3://bucket/prefix`."""
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")

    lock: Literal["governance", "compliance", "none"] = "governance"
    lock_for: Duration | None = None
    shared: bool = False
    upload_limit: Rate | None = None


def _kind_of_blobs(value: object) -> str:
    if isinstance(value, dict):
        return str(value.get("kind", "filesystem"))
    # What is no section at all is told so by the kind that stands for itself.
    return str(getattr(value, "kind", "filesystem"))


Blobs = Annotated[
    Annotated[FilesystemBlobs, Tag("filesystem")]
    | Annotated[LayoutBlobs, Tag("oci")]
    | Annotated[BucketBlobs, Tag("s3")],
    Discriminator(_kind_of_blobs),
]
KINDS_OF_BLOBS: dict[str, type[FilesystemBlobs | LayoutBlobs | BucketBlobs]] = {
    "filesystem": FilesystemBlobs,
    "oci": LayoutBlobs,
    "s3": BucketBlobs,
}


class Secrets(Section):
    """`[secrets]`: files to protect, who can open the bundle, and the identity for drills.

    `expiry_warning` is how long before a certificate's end it becomes a problem.
    """

    paths: tuple[AbsolutePath, ...] = ()
    recipients: tuple[str, ...] = ()
    identity_file: AbsolutePath | None = None
    cosign_password_file: AbsolutePath | None = None
    expiry_warning: Duration = timedelta(days=30)
