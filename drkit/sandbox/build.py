"""Bringing a whole recovery point back into a sandbox, part beside part."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from drkit import config
from drkit.blobs import dangling
from drkit.blobs.dangling import Known
from drkit.blobs.units import executors
from drkit.blobs.vault.reading import WORKERS
from drkit.checks import images
from drkit.database import clients, load, swap
from drkit.errors import DrillError, Failure, RestoreDamaged
from drkit.files import make_directory, plain_file
from drkit.harbor import tables
from drkit.model import Bucketed, DatabaseEvidence, Level, Outcome
from drkit.points.seal_files import SealFiles
from drkit.progress import Listener
from drkit.registry.ledger import Ledger
from drkit.registry.storage import Tag
from drkit.sandbox import container as sandbox_container
from drkit.sandbox import early, zot
from drkit.sandbox import postgres as sandbox_postgres
from drkit.sandbox import registry as sandbox_registry
from drkit.sandbox import sample as samples
from drkit.sandbox.blobs import STAGE, STREAMING, BlobsBuilder, OpenVault, RestoredBlobs
from drkit.sandbox.hiding import NOTHING_HIDDEN, Hidden
from drkit.sandbox.s3.bucket import TreeBucket
from drkit.sandbox.s3.streaming import StreamedVault
from drkit.sandbox.streaming import StreamedBlobs
from drkit.secrets import capture
from drkit.secrets.bundle import Bundle
from drkit.stopwatch import Stopwatch
from drkit.tools.age import Identity
from drkit.tools.parallel import Tasks, all_of, side_by_side
from drkit.tools.postgres import programs as postgres_programs
from drkit.tools.postgres import sessions
from drkit.tools.postgres.programs import Programs
from drkit.tools.postgres.targets import Target
from drkit.tools.registry import Address
from drkit.tools.restic.repository import Repository


@dataclass(frozen=True)
class RestoredDatabase:
    """A database in the sandbox, and what it was restored from."""

    evidence: DatabaseEvidence
    target: Target
    archive: Path
    programs: Programs
    harbor: bool


@dataclass
class Restored:
    """What stands in the sandbox; filled by one thread a part.

    The ledger knows which blobs were hashed, and need not be read again. `first_pull_seconds` is when the
    first image had been pulled from the registry, where that was while others were still being restored.
    `expected` are the names of the point's databases.
    """

    ledger: Ledger
    expected: tuple[str, ...] = ()
    databases: dict[str, RestoredDatabase] = field(default_factory=dict)
    blobs: RestoredBlobs | None = None
    hidden: Hidden = NOTHING_HIDDEN
    registry: Address | None = None
    # Which program serves the images, and its version.
    registry_version: str = ""
    bundle: Bundle = field(default_factory=Bundle)
    sealed: bytes = b""
    bundle_damage: str = ""
    digests: Path | None = None
    image_list: Path | None = None
    names: Path | None = None
    dangling: Known = field(default_factory=Known)
    sample: tuple[Tag, ...] | None = None
    first_pull_seconds: float | None = None

    @property
    def blobs_root(self) -> Path | None:
        """The registry's root directory, if images are in this point."""
        return self.blobs.root if self.blobs else None

    @property
    def root(self) -> Path:
        """The same, for what is done only where there are images."""
        assert self.blobs is not None
        return self.blobs.root

    @property
    def lost(self) -> tuple[str, ...]:
        """The databases that are not there, by name: asked once all parts have come back, or have not."""
        return tuple(name for name in self.expected if name not in self.databases)

    @property
    def is_whole(self) -> bool:
        """Whether nothing is known to be missing or damaged of what has come back."""
        vault = self.blobs.vault if self.blobs else None
        return not self.bundle_damage and not (vault and vault.fetched.bad)

    @property
    def harbor(self) -> RestoredDatabase | None:
        """Harbor's own database, if this site has one; raises DrillError where a lost one may be that."""
        found = next((database for database in self.databases.values() if database.harbor), None)
        if found is None and self.lost:
            raise DrillError(f"this needs the database {', '.join(self.lost)}, which was not restored")
        return found


def look(major: int, image: str | None) -> None:
    """See that there is a server of that major version, on this machine or in the image.

    Raises ToolMissing, ToolFailed.
    """
    if image is None or postgres_programs.has_server(major, postgres_programs.installed()):
        postgres_programs.server_programs(major, postgres_programs.installed())
    else:
        sandbox_container.look(image, major)


_DATABASE = "database "


def database_part(name: str) -> str:
    """What the part is called that has the database of that name."""
    return f"{_DATABASE}{name}"


def database_in(part: str) -> str:
    """The name of the database that is in a part."""
    return part.removeprefix(_DATABASE)


class Parts(dict[str, Callable[[], None]]):
    """The parts that are being restored, by name: each waits for its part, or raises what it ended in."""

    def failures(self, *names: str) -> dict[str, Failure]:
        """Wait for some of them, as far as they are in this point: what those ended in that did not come."""
        found = {}
        for name in names:
            try:
                if name in self:
                    self[name]()
            except Failure as error:
                found[name] = error
        return found


@dataclass
class Builder:
    """Restores one point below `directory`; servers run until `stack` closes."""

    repository: Repository
    files: SealFiles
    directory: Path
    stack: contextlib.ExitStack
    user: str
    hidden: Hidden
    image: str | None
    level: Level
    identities: Sequence[Identity]
    open_vault: OpenVault
    # Whose workers see the directory, if there is one.
    cluster: config.Cluster
    stopwatch: Stopwatch
    listener: Listener
    registry_program: Path | None = None
    streamed: bool = False

    def __post_init__(self) -> None:
        ledger = self.stack.enter_context(contextlib.closing(Ledger(self.directory / "ledger.db")))
        expected = tuple(evidence.name for evidence in self.files.manifest.databases)
        self.restored = Restored(ledger, expected, hidden=self.hidden)

    def begin(self, tasks: Tasks[str]) -> Parts:
        """Begin to restore everything, side by side; raises what shows before that."""
        files, manifest = self.files, self.files.manifest
        # Before terabytes of blobs are fetched for a drill that cannot end well.
        for evidence in manifest.databases:
            look(evidence.archive_major, self.image)
        if manifest.part("digests"):
            self.restored.digests = files.path("digests", "digests")
        if manifest.part("tags"):
            self.restored.image_list = files.path("tags", "tags")
        if manifest.part("names"):
            self.restored.names = files.path("names", "names")
        if manifest.part("dangling"):
            self.restored.dangling = Known(dangling.from_lines(files.lines("dangling", "dangling")))
        parts = Parts()
        for evidence in manifest.databases:
            name = database_part(evidence.name)
            parts[name] = tasks.begin(name, partial(self._database, evidence))
        if manifest.part("secrets"):
            parts["secrets"] = tasks.begin("secrets", self._secrets)
        if manifest.images:
            bring = self._every_blob if self.level == "full" else partial(self._sample_of_blobs, Parts(parts))
            parts["blobs"] = tasks.begin("blobs", bring)
        return parts

    def _serve(self, root: Path, bucket: TreeBucket | None = None) -> None:
        """Start the registry, which may read a bucket.

        zot only where it is on this machine, for its layouts can be read without.
        """
        with self.stopwatch.stage("start registry"):
            if self.files.manifest.storage == "oci":
                found = zot.find(self.registry_program)
                if found is None:
                    return
                version = zot.version(found)
                serving = zot.serving(root, self.directory, self.hidden, found)
                self.restored.registry = self.stack.enter_context(serving)
            else:
                program = sandbox_registry.find(self.registry_program)
                version = sandbox_registry.version(program)
                images = bucket.settings if bucket else sandbox_registry.directory_settings(root)
                started = sandbox_registry.serving(images, self.directory, self.hidden, program)
                self.restored.registry = self.stack.enter_context(started)
        self.restored.registry_version = version

    def _database(self, evidence: DatabaseEvidence) -> None:
        """Start a server and fetch the dump at once, then load it."""
        name = evidence.name
        directory = self.directory / f"db-{name}"
        # The sandbox's PostgreSQL runs as another user: it may pass through, not look.
        make_directory(directory, 0o711)
        fetched = directory / "dump"
        fetched.mkdir(mode=0o700)
        servers: list[tuple[Target, Programs]] = []

        def start() -> None:
            with self.stopwatch.stage(f"start PostgreSQL for {name}"):
                servers.append(self.stack.enter_context(self._server(evidence, directory)))

        def fetch() -> None:
            with self.stopwatch.stage(f"fetch dump of {name}"):
                self.repository.restore(dump.snapshot, fetched, listener=self.listener)

        dump = self.files.manifest.need("database", name)
        all_of({"start": start, "fetch": fetch})
        archive = plain_file(fetched, dump.path)
        roles = self.files.data("roles", name).decode()
        made, programs = servers[0]
        server = swap.maintenance(made.with_database(evidence.shape.database))
        # A new server has a database `postgres`, and the restored one may be called that too.
        swap.drop(server, evidence.shape.database)
        with self.stopwatch.stage(f"load {name}"):
            load.bring_back(
                server,
                evidence.shape.database,
                evidence,
                archive,
                roles,
                clients.here(programs, {}),
                powers=True,
            )
        target = server.with_database(evidence.shape.database)
        with sessions.connect(target) as session:
            harbor = tables.is_harbor(session)
        self.restored.databases[name] = RestoredDatabase(evidence, target, archive, programs, harbor)

    @contextlib.contextmanager
    def _server(self, evidence: DatabaseEvidence, directory: Path) -> Iterator[tuple[Target, Programs]]:
        """A server for the dump, and the programs to load it with: this machine's, else the image's."""
        major, superuser = evidence.archive_major, evidence.superuser
        if postgres_programs.has_server(major, postgres_programs.installed()) or self.image is None:
            programs = postgres_programs.server_programs(major, postgres_programs.installed())
            with sandbox_postgres.running(programs, directory, self.user, superuser, self.hidden) as target:
                yield target, programs
        else:
            with sandbox_container.running(self.image, major, directory, self.user, superuser) as found:
                yield found

    def _secrets(self) -> None:
        with self.stopwatch.stage("open secrets"):
            # In memory alone: nothing of the bundle touches a disk in the clear.
            sealed = self.files.data("secrets", "secrets")
            recipients = self.files.manifest.recipients
            try:
                self.restored.bundle = capture.open_bundle(sealed, self.identities, recipients)
            except RestoreDamaged as error:
                # A verdict on the point, not a drill that could not run: the other parts are worth a look
                # too.
                self.restored.bundle_damage = error.message
            self.restored.sealed = sealed

    def _every_blob(self) -> None:
        """Restore the blobs; where there is no room for them, read and serve them from where they are."""
        if self.streamed and self.files.manifest.bucket is not None:
            self._stream_vault(self.files.manifest.bucket)
        elif self.streamed:
            self._stream()
        else:
            self._restore_blobs()

    def _stream(self) -> None:
        builder = StreamedBlobs(
            self.repository, self.files, self.directory, self.stack, self.restored.ledger, self.listener
        )
        with self.stopwatch.stage("mount the repository"):
            mounted, root = builder.open()
        listed, known = self.restored.image_list, self.restored.dangling
        first = early.bring_one(root, listed, known, lambda _repositories, _digests: None)
        self._serve(root)
        with self._pulling(first), self.stopwatch.stage(STREAMING):
            self.restored.blobs = builder.read(mounted, root)

    def _stream_vault(self, bucketed: Bucketed) -> None:
        """Let the registry read a bucket that shows what was proved of the vault by then."""
        builder = self._blobs_builder()
        with self.stopwatch.stage("open the vault"):
            vault = StreamedVault(builder, self.stack.enter_context(self.open_vault(bucketed)))
            bucket = vault.open()
        self._serve(builder.root, bucket)
        with self.stopwatch.stage(STREAMING):
            self.restored.blobs = vault.read(bucket)

    def _restore_blobs(self) -> None:
        """Restore one image, serve it, and restore all others meanwhile; of layouts all, then serve them."""
        builder = self._blobs_builder()
        if self.files.manifest.storage == "oci":
            with self.stopwatch.stage(STAGE):
                self.restored.blobs = builder.restore()
            self._serve(builder.root)
            return
        with self.stopwatch.stage("restore the first image"):
            first = builder.bring_one(self.restored.image_list, self.restored.dangling)
        self._serve(builder.root)
        with self._pulling(first), self.stopwatch.stage(STAGE):
            self.restored.blobs = builder.restore()

    @contextlib.contextmanager
    def _pulling(self, first: Tag | None) -> Iterator[None]:
        """Pull an image, where there is one, while the block goes on."""
        with side_by_side() as tasks:
            if first is not None:
                tasks.begin("pull", partial(self._pull_first, first))
            yield

    def _pull_first(self, tag: Tag) -> None:
        """How soon an image can be had; whether all can be pulled is asked by a check."""
        # A ledger of its own: the check shall ask for all of it again.
        own = contextlib.closing(Ledger(self.directory / "first.db"))
        with self.stopwatch.stage("pull the first image"), own as ledger:
            assert self.restored.registry is not None
            found = images.tags_pull(self.restored.registry, [tag], ledger, self.restored.dangling)
        if found.outcome is Outcome.PASSED:
            self.restored.first_pull_seconds = self.stopwatch.seconds

    def _sample_of_blobs(self, parts: Parts) -> None:
        """Restore the blobs of a few tags picked by chance, and the links of their repositories."""
        parts.failures(*parts)
        database = self.restored.harbor
        if database is None:
            raise DrillError(
                "a quick drill picks tags from Harbor's database, and this point has none",
                hint="run a full one: --level full",
            )
        with sessions.connect(database.target) as session, session.undone():
            sample = samples.choose(session)
        self.restored.sample = sample.tags
        builder = self._blobs_builder()
        with self.stopwatch.stage(STAGE):
            self.restored.blobs = builder.restore(sample)
        self._serve(builder.root)

    def _blobs_builder(self) -> BlobsBuilder:
        builder = BlobsBuilder(
            self.repository,
            self.files,
            self.directory,
            self.stack,
            self.open_vault,
            executors.executor(self.cluster, WORKERS, self.directory),
            self.restored.ledger,
            self.listener,
        )
        builder.prepare()
        return builder
