"""Harbor's parts as containers of docker's: its own images, without a port, a route or rights to spare."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from drkit import tidying
from drkit.errors import DockerLacks, ToolFailed
from drkit.sandbox import container as sandbox_container
from drkit.sandbox.harbor.box import write
from drkit.sandbox.harbor.choice import Images
from drkit.sandbox.harbor.plan import Part, Places
from drkit.tools import docker
from drkit.tools.process import stopping

# docker's label of what belongs to Harbor, beside that of the drill.
PART = "harbor"
PLACES = Places()
_LAST_LINES = 5
_PROCESSORS = 2
# What docker's volume options would take for their own.
_SPECIAL = ',:\\"'


class Containers:
    """The containers of one sandbox, by the images of one release."""

    def __init__(self, images: Images, sandbox: Path) -> None:
        self._images = images
        self._sandbox = sandbox
        self._ids: dict[str, str] = {}
        self._starts = 0

    def begin(self, cache: Part, directory: Path) -> int:
        """Start the cache without any network: the others share the one that it has instead."""
        sandbox_container.mark(self._sandbox)
        self._run(cache, directory, "none")
        said = docker.ask("inspect", "--format={{.State.Pid}}", self._ids[cache.name])
        return int(said.strip())

    def give_images(self, layers: str, owner: Path) -> None:
        """Let docker mount it."""
        if any(letter in layers.replace(",upperdir", "").replace(",workdir", "") for letter in _SPECIAL):
            raise ToolFailed(
                f"docker mounts nothing from {owner}: there is a special character in it",
                hint="set directory in [drill] to another path",
            )
        options = ("--driver=local", "--opt=type=overlay", "--opt=device=overlay", f"--opt=o={layers}")
        docker.ask("volume", "create", *self._labels, *options, self._volume)

    def start(self, part: Part, directory: Path) -> None:
        """Start a container in the network of the cache's."""
        self._run(part, directory, f"container:{self._ids['cache']}")

    def remove(self, name: str) -> None:
        """Remove a container."""
        docker.ask("rm", "--force", "--volumes", self._ids.pop(name))

    def ended(self) -> Mapping[str, int]:
        """As docker says."""
        states = docker.ask("inspect", "--format={{.State.Running}} {{.State.ExitCode}}", *self._ids.values())
        found = dict(zip(self._ids, (line.split() for line in states.splitlines()), strict=True))
        return {name: int(code) for name, (runs, code) in found.items() if runs != "true"}

    def words(self, name: str) -> str:
        """The end of its log."""
        return docker.logs(self._ids[name], _LAST_LINES)

    def stop(self) -> None:
        """Remove containers and volumes by their labels."""
        sandbox_container.release(self._sandbox, PART)

    def _run(self, part: Part, directory: Path, network: str) -> None:
        image = self._image(part.name)
        words = self._words_for(part, directory, network)
        try:
            # Cut off in between, docker's daemon would make a container that nobody knows of.
            with tidying.undisturbed():
                made = docker.ask("create", *words, image, tidying=True).strip()
            stopping.stop_if_asked()
        except DockerLacks as error:
            raise ToolFailed(f"there is no image {image} any more: {error.message}") from None
        self._ids[part.name] = made
        docker.ask("start", made)

    def _image(self, name: str) -> str:
        named = {
            "cache": self._images.cache,
            "registry": self._images.registry,
            "core": self._images.core,
            "jobservice": self._images.jobservice,
        }
        found = named[name]
        assert found is not None
        return found

    def _words_for(self, part: Part, directory: Path, network: str) -> list[str]:
        self._starts += 1
        words = [
            f"--name=drkit-{self._sandbox.name}-{part.name}-{self._starts}",
            *self._labels,
            f"--network={network}",
            *("--pull=never", "--restart=no", "--no-healthcheck", "--pids-limit=1024"),
            f"--cpus={min(_PROCESSORS, os.cpu_count() or 1)}",
            *(f"--memory={part.memory}", f"--memory-swap={part.memory}"),
            # The files are drkit's own: no label of SELinux's would let a container read them.
            *("--cap-drop=ALL", "--security-opt=no-new-privileges", "--security-opt=label=disable"),
            *(f"--cap-add={name}" for name in part.capabilities),
            *("--log-driver=json-file", "--log-opt=max-size=8m"),
            *(f"--tmpfs={place}:mode=1777" for place in part.empty_directories),
        ]
        for number, file in enumerate(part.files):
            source = directory / f"file-{number}"
            write(source, file.data, file.owner)
            words.append(f"--mount=type=bind,source={source},target={file.target},readonly")
        if part.storage:
            words.append(f"--mount=type=volume,source={self._volume},target={PLACES.storage},volume-nocopy")
        if part.environment:
            variables = directory / "environment"
            lines = "".join(f"{name}={value}\n" for name, value in part.environment.items())
            write(variables, lines.encode(), os.geteuid())
            words.append(f"--env-file={variables}")
        return words

    @property
    def _labels(self) -> tuple[str, str]:
        label, part = sandbox_container.LABEL, sandbox_container.PART
        return f"--label={label}={self._sandbox.name}", f"--label={part}={PART}"

    @property
    def _volume(self) -> str:
        return f"drkit-{self._sandbox.name}-images"
