"""Somebody who pushes images meanwhile."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from random import Random

from testenv import content
from testenv.push import Pusher


@contextlib.contextmanager
def pushing(push: Callable[[int], object]) -> Iterator[list[int]]:
    """Somebody pushes one image after another meanwhile; which ones is told."""
    pushed: list[int] = []
    enough = threading.Event()

    def go_on() -> None:
        for number in range(1_000_000):
            if enough.is_set():
                return
            push(number)
            pushed.append(number)
            enough.wait(0.03)

    thread = threading.Thread(target=go_on)
    thread.start()
    try:
        yield pushed
    finally:
        enough.set()
        thread.join()


def push_plain(pusher: Pusher, number: int) -> None:
    """A small image with a layer of its own."""
    layer = content.make_layer(Random(number).randbytes(2_000), f"layer-{number}")
    config = content.make_config([layer.diff_id], architecture="amd64", title=f"image {number}")
    described = content.Descriptor(content.OCI_CONFIG, content.digest_of(config), len(config))
    layers = [content.Descriptor(content.OCI_LAYER, layer.digest, len(layer.content))]
    pusher.blob("library/plain", layer.digest, layer.content)
    pusher.blob("library/plain", described.digest, config)
    pusher.manifest("library/plain", content.make_manifest(described, layers), f"v{number}")
