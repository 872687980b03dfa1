"""Dask's `distributed`: a scheduler, its workers, and functions that they call for us.

All that is sent is the name of a function and bytes, and all that comes back is bytes. No exception of
distributed's is seen above this module.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import ssl
import threading
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from drkit.errors import ClusterFailed, ClusterUnreachable, ConfigError, ToolMissing

if TYPE_CHECKING:
    import distributed

log = logging.getLogger(__name__)

Function = Callable[[bytes], bytes]
_CONNECT_SECONDS = 10
# A scheduler that stands still is still connected; one with much to do answers within a second or two.
_ANSWER_SECONDS = 60
_PACKAGES = ("distributed", "dask", "cloudpickle", "msgpack", "tornado")


@dataclass(frozen=True)
class Address:
    """Where the scheduler is, and the files of TLS: who signed it, our certificate, our key."""

    scheduler: str
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None

    @property
    def encrypted(self) -> bool:
        """Whether TLS is spoken there."""
        return self.scheduler.startswith("tls://")


class Worker(NamedTuple):
    """A worker that is there: its address, and how many functions it calls at once."""

    address: str
    threads: int


class Answer(NamedTuple):
    """What came of a call: the bytes that were returned, or why there are none.

    `unknown`: the worker does not have the function.
    """

    call: object
    data: bytes = b""
    error: str = ""
    unknown: bool = False


class Cluster:
    """A connection to a scheduler; whatever was begun ends with it."""

    def __init__(self, client: distributed.Client, address: Address) -> None:
        self.address = address
        self._client = client
        self._answers: queue.SimpleQueue[Answer] = queue.SimpleQueue()
        self._futures: dict[object, Any] = {}

    def workers(self) -> tuple[Worker, ...]:
        """The workers of this moment; raises ClusterUnreachable where the scheduler has gone."""
        if self._client.status != "running":
            raise _gone(self.address)
        try:
            # Its own scheduler_info() now and then tells of none: a thread of it overwrites the answer.
            client: Any = self._client
            ask = client.scheduler.identity
            found = client.sync(ask, n_workers=-1, callback_timeout=_ANSWER_SECONDS)["workers"]
        except (OSError, TimeoutError, RuntimeError, ValueError) as error:
            raise _gone(self.address) from error
        return tuple(Worker(address, int(about["nthreads"])) for address, about in found.items())

    def begin(self, call: object, function: Function, message: bytes, worker: str) -> None:
        """Let that worker call the function; `answer` tells what came of it, if it stays."""
        future: Any = self._client.submit(
            function, message, workers=[worker], allow_other_workers=False, pure=False, retries=0
        )
        self._futures[call] = future
        future.add_done_callback(lambda done: self._answers.put(Answer(call, *_outcome(done))))

    def end(self, call: object) -> None:
        """Nobody waits for that any more: what has not begun never will, what has finds out by `wanted`."""
        future = self._futures.pop(call, None)
        if future is not None:
            with contextlib.suppress(Exception):  # a scheduler that is gone waits for nothing
                future.cancel(force=True)

    def answer(self, seconds: float) -> Answer | None:
        """The next answer, None where none comes in that time."""
        try:
            found = self._answers.get(timeout=seconds)
        except queue.Empty:
            return None
        self._futures.pop(found.call, None)
        return found


def _outcome(future: Any) -> tuple[bytes, str, bool]:
    """Bytes, or why there are none; whatever a worker raised is words here, and no exception."""
    try:
        if future.status == "finished":
            found = future.result(timeout=_CONNECT_SECONDS)
            return (
                (found, "", False) if isinstance(found, bytes) else (b"", "an answer that is no bytes", False)
            )
        if future.status != "error":
            return b"", f"it was {future.status}", False
        error = future.exception(timeout=_CONNECT_SECONDS)
    except Exception as failed:  # noqa: BLE001 - what a worker raised may not even be readable here
        error = failed
    # The function is sent by its name.
    return b"", f"{type(error).__name__}: {error}", isinstance(error, ImportError | AttributeError)


def wanted() -> Callable[[], bool]:
    """For a function that a worker calls: tells any of its threads whether somebody waits for it."""
    import distributed.worker

    # Any: it is not in __all__, which a type checker sees only where the package is installed.
    here: Any = distributed.worker
    try:
        tasks, key = distributed.get_worker().state.tasks, here.thread_state.key
    except (ValueError, AttributeError):
        # In no worker at all.
        return lambda: True

    def still() -> bool:
        task = tasks.get(key)
        return task is not None and task.state == "executing"

    return still


def stop_profiling() -> None:
    """For a function that a worker calls: let Dask not look at the stacks of all threads any more.

    It does a hundred times a second, and Python 3.11 before 3.11.9 now and then stands still over it for ever
    where threads come and go (sys._current_frames waits for a thread that waits for it).
    """
    import distributed

    try:
        # Any: neither is annotated.
        here: Any = distributed.get_worker()
    except ValueError:
        # In no worker at all.
        return
    looking = here.periodic_callbacks.get("profile")
    if looking is None or not looking.is_running():
        return
    stopped = threading.Event()

    def stop() -> None:
        looking.stop()
        stopped.set()

    here.loop.add_callback(stop)
    stopped.wait(_CONNECT_SECONDS)


@contextlib.contextmanager
def connected(address: Address) -> Iterator[Cluster]:
    """A connection for as long as this lasts.

    Raises ToolMissing without `distributed`, ConfigError for TLS files that cannot be used,
    ClusterUnreachable, ClusterFailed for a scheduler of another version.
    """
    distributed = _library()
    security = _security(distributed, address)
    try:
        client = _client(distributed, address.scheduler, security)
    except TypeError as error:
        # What the scheduler itself raised, whose methods take other arguments.
        raise ClusterFailed(
            f"the scheduler at {address.scheduler} has another version: {_first_line(error)}",
            hint="use the same packages there as here; see docs/cluster.md",
        ) from None
    except (OSError, TimeoutError, RuntimeError, ValueError) as error:
        log.debug("cannot connect to %s", address.scheduler, exc_info=error)
        raise ClusterUnreachable(
            f"no scheduler answers at {address.scheduler}: {_first_line(error)}",
            hint="see scheduler in [cluster] and its TLS files; `--cluster local` does without it this once",
        ) from None
    try:
        _refuse_other(client, address)
        yield Cluster(client, address)
    finally:
        _close(client)


def _client(distributed: Any, scheduler: str, security: Any) -> Any:
    """A client that is connected; one that cannot be is closed, whatever is raised.

    Made in two steps, so that it is at hand then: it would try to close itself when Python ends, in vain and
    with a traceback.
    """
    client = distributed.Client.__new__(distributed.Client)
    client.status = "newly-created"
    try:
        with warnings.catch_warnings():
            # Other versions are refused by `connected`, in our own words.
            warnings.simplefilter("ignore")
            client.__init__(
                scheduler,
                timeout=_CONNECT_SECONDS,
                security=security,
                set_as_default=False,
                direct_to_workers=False,
            )
    except BaseException:
        _close(client)
        raise
    return client


def _close(client: Any) -> None:
    with contextlib.suppress(Exception):  # it is gone already
        client.close(timeout=_CONNECT_SECONDS)
    client.status = "closed"


def _library() -> Any:
    try:
        import distributed
    except ModuleNotFoundError:
        raise ToolMissing(
            "the Python package distributed is not installed: nothing can be spread over a cluster",
            hint="pip install 'drkit[cluster]'",
        ) from None
    # What it has to say is said here; some of its loggers have handlers of their own.
    for name in [name for name in logging.root.manager.loggerDict if name.partition(".")[0] == "distributed"]:
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = False
        logger.addHandler(logging.NullHandler())
    return distributed


def _security(distributed: Any, address: Address) -> Any:
    if not address.encrypted:
        return None
    files = {"ca_file": address.ca_file, "cert_file": address.cert_file, "key_file": address.key_file}
    missing = [name for name, path in files.items() if path is None]
    if missing:
        raise ConfigError(
            f"[cluster] has no {' and no '.join(missing)}, which tls:// needs",
            hint="certificates are for the machines of this cluster alone; see docs/cluster.md",
        )
    try:
        context = ssl.create_default_context(cafile=address.ca_file)
        context.load_cert_chain(str(address.cert_file), str(address.key_file))
    except (OSError, ssl.SSLError) as error:
        said = error.strerror or str(error)
        names = ", ".join(str(path) for path in files.values())
        raise ConfigError(
            f"the TLS files of [cluster] cannot be used ({names}): {said}", hint="see docs/cluster.md"
        ) from None
    return distributed.Security(
        require_encryption=True,
        tls_ca_file=str(address.ca_file),
        tls_client_cert=str(address.cert_file),
        tls_client_key=str(address.key_file),
    )


def _refuse_other(client: Any, address: Address) -> None:
    """Schedulers of other versions understand us now and then, which is worse than never."""
    from distributed import versions

    try:
        # Of the scheduler alone: the client's own question asks every worker, and one may stand still.
        theirs = client.run_on_scheduler(versions.get_versions)["packages"]
        ours = versions.get_versions()["packages"]
    except (OSError, TimeoutError, RuntimeError, KeyError, TypeError, ValueError) as error:
        raise ClusterFailed(
            f"the scheduler at {address.scheduler} does not say what version it is: {_first_line(error)}",
            hint="use the same packages there as here; see docs/cluster.md",
        ) from None
    others = [name for name in _PACKAGES if theirs.get(name) != ours.get(name)]
    python = [str(each.get("python")).rsplit(".", 3)[0] for each in (theirs, ours)]
    if others or python[0] != python[1]:
        said = [f"{name} {theirs.get(name)} and not {ours.get(name)}" for name in others]
        said += [f"Python {python[0]} and not {python[1]}"] if python[0] != python[1] else []
        raise ClusterFailed(
            f"the scheduler at {address.scheduler} has other versions than this machine: {', '.join(said)}",
            hint="use the same packages there as here; see docs/cluster.md",
        )


def _gone(address: Address) -> ClusterUnreachable:
    return ClusterUnreachable(
        f"the scheduler at {address.scheduler} has gone while it was used, or does not answer any more",
        hint="nothing was proved; run it again when the scheduler is there",
    )


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
