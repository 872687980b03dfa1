"""One registry's way from its configuration file to a restore, and what is asked of each step."""

from __future__ import annotations

import hashlib
import json
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from testenv import content, images, processes
from testenv.beside.programs import Program
from testenv.content import Descriptor
from testenv.push import MANIFEST_TYPES, Pusher, UnexpectedAnswerError


class FailedError(RuntimeError):
    """Something did not hold."""


class RefusedError(FailedError):
    """A backup that says that too much is pushed to read the images live: nothing is sealed then."""


@dataclass
class Loop:
    """A registry in a directory of its own, and the drkit that protects it."""

    program: Program
    home: Path
    port: int = field(default_factory=lambda: next(processes.free_ports()))

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def root(self) -> Path:
        """Where it keeps its images."""
        return self.home / "images"

    def run(self, backups: int) -> None:
        """The whole way; raises FailedError."""
        file = self.program.configure(self.home, self.port)
        with self._served():
            self._push()
            words = ("init", "--registry", str(file), "--repository", str(self.home / "backup"))
            self._drkit(*words, "--state", str(self.home / "state"))
            with (self.home / "drkit.toml").open("a") as config:
                config.write(f'\n[drill]\nregistry_program = "{self.program.path}"\n')
            self._backup()
            self._drill()
            self._under_pushes(backups)
            self._drill()
            self._backup()
        listed = self._drkit("show", "latest", "--images", "*")["images"]
        shutil.rmtree(self.root)
        restored = self._drkit("restore", "latest", "--only", "blobs", "--yes")
        self._say(f"restored what was lost: {restored['steps'][0]['verified']}")
        with self._served():
            self._pull(listed)
            self._push()
        self._say("and it takes pushes again")

    def _push(self) -> None:
        """An index with two images, a signature with a subject, and a layer that two repositories share."""
        with Pusher(self.url) as pusher:
            layer = content.make_layer(b"shared", "shared")
            for repository in ("team/app", "other"):
                children = []
                for number in range(2):
                    own = content.make_layer(f"{repository} {number}".encode(), f"own-{number}")
                    children.append(images.push_layers(pusher, repository, None, [layer, own]).manifest)
                index = content.make_index([self._described(child) for child in children])
                pusher.manifest(repository, index, "v1")
                images.push_layers(pusher, repository, "single", [layer])
                images.push_sbom(pusher, repository, index)

    @staticmethod
    def _described(manifest: content.Manifest) -> Descriptor:
        return manifest.descriptor()

    def _backup(self) -> None:
        found = self._drkit("backup")
        closure = found["closure"]
        if closure["missing"] or closure["size_mismatch"] or closure["dangling"]:
            raise FailedError(f"the closure is not whole: {closure}")
        self._say(f"sealed {found['id']}: {closure['referenced']} blobs, attempt {found['attempts']}")

    def _drill(self) -> None:
        found = self._drkit("drill")
        (pulled,) = [check for check in found["checks"] if check["kind"] == "tags"]
        if (found["outcome"], pulled["outcome"]) != ("passed", "passed"):
            raise FailedError(f"the drill: {found['outcome']}, {pulled}")
        served = found["versions"]["registry in the sandbox"]
        self._say(f"drilled {found['point']}, served by {served}: {pulled['detail']}")

    def _under_pushes(self, backups: int) -> None:
        """Backups while images are pushed, overwritten and deleted without a pause."""
        ended, counts = threading.Event(), {"pushed": 0, "deleted": 0}

        def trouble() -> None:
            with Pusher(self.url) as pusher:
                number = 0
                while not ended.is_set():
                    number += 1
                    layer = content.make_layer(str(number).encode(), f"layer-{number}")
                    pushed = images.push_layers(pusher, "busy", f"t{number % 7}", [layer])
                    counts["pushed"] += 1
                    if number % 3 == 0:
                        pusher.delete_manifest("busy", pushed.manifest.digest)
                        counts["deleted"] += 1

        thread = threading.Thread(target=trouble)
        thread.start()
        refused = 0
        try:
            for _ in range(backups):
                try:
                    self._backup()
                except RefusedError as error:
                    refused += 1
                    self._say(f"not sealed, as it should be: {error}")
        finally:
            ended.set()
            thread.join()
        self._say(f"meanwhile {counts['pushed']} images were pushed and {counts['deleted']} deleted")
        if refused:
            self._say(
                f"{refused} of {backups} backups were refused, since too much was pushed to be read live"
            )

    def _pull(self, listed: list[dict[str, Any]]) -> None:
        """Every image that the point lists, with all that it needs, hashed."""
        read: set[tuple[str, str]] = set()
        with httpx.Client(base_url=self.url, timeout=60, trust_env=False) as client:
            for image in listed:
                if image["tag"]:
                    _pull_one(client, image["repository"], image["tag"], image["digest"], read)
                _pull_one(client, image["repository"], image["digest"], image["digest"], read)
        self._say(f"pulled {len(listed)} images, {len(read)} manifests and blobs, from what came back")

    @contextmanager
    def _served(self) -> Iterator[None]:
        file = self.home / ("config.json" if self.program.kind == "zot" else "config.yml")
        log = self.home / "log"
        environment = {"OTEL_TRACES_EXPORTER": "none"}
        words: list[str | Path] = [self.program.path, "serve", file]
        pid_file = self.home / "pid"
        pid = processes.spawn(words, log=log, pid_file=pid_file, cwd=self.home, environment=environment)
        name = self.program.path.name
        try:
            processes.wait_until(self._answers, pid=pid, log=log)
            yield
        finally:
            processes.stop(lambda: processes.find(name, file), polite=signal.SIGTERM)

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/v2/", trust_env=False).status_code == httpx.codes.OK
        except httpx.TransportError:
            return False

    def _drkit(self, *words: str) -> dict[str, Any]:
        config = str(self.home / "drkit.toml")
        command = [sys.executable, "-m", "drkit", "--config", config, *words, "--json"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            error = json.loads(done.stdout)["error"] if done.stdout else {}
            if error.get("disturbance") == "pushes":
                raise RefusedError(error["message"])
            raise FailedError(f"drkit {words[0]} ended with {done.returncode}: {done.stdout} {done.stderr}")
        result: dict[str, Any] = json.loads(done.stdout)["result"]
        return result

    def _say(self, text: str) -> None:
        print(f"{self.program.kind}: {text}", flush=True)


def _pull_one(
    client: httpx.Client, repository: str, reference: str, digest: str, read: set[tuple[str, str]]
) -> None:
    headers = {"Accept": ", ".join(MANIFEST_TYPES)}
    answer = client.get(f"/v2/{repository}/manifests/{reference}", headers=headers)
    _expect(repository, digest, answer)
    if (repository, digest) in read:
        return
    read.add((repository, digest))
    document = answer.json()
    for child in document.get("manifests") or ():
        _pull_one(client, repository, child["digest"], child["digest"], read)
    for blob in [*([document["config"]] if "config" in document else []), *document.get("layers", ())]:
        if (repository, blob["digest"]) not in read:
            read.add((repository, blob["digest"]))
            _expect(repository, blob["digest"], client.get(f"/v2/{repository}/blobs/{blob['digest']}"))


def _expect(repository: str, digest: str, answer: httpx.Response) -> None:
    if answer.status_code != httpx.codes.OK:
        raise UnexpectedAnswerError(f"{answer.request.url}: {answer.status_code}", answer.status_code)
    if f"sha256:{hashlib.sha256(answer.content).hexdigest()}" != digest:
        raise FailedError(f"{repository}@{digest} is served with other bytes")
