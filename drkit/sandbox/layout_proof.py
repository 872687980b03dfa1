"""Proving restored OCI layouts: every check that fits them, and every fault that a check must catch."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from drkit.blobs import digests
from drkit.blobs.layouts import on_disk
from drkit.blobs.layouts.spool import LayoutSpool
from drkit.checks import images, layouts, lists, tree
from drkit.checks.finding import Check, Control, Finding, Unplanted, not_provable
from drkit.model import CheckKind
from drkit.registry import image_list
from drkit.registry.ledger import Ledger
from drkit.registry.storage import Tag
from drkit.sandbox.build import Restored

_NO_ZOT = (
    "zot is not on this machine, so that it serves these images was not tried; install it, or name it as"
    " registry_program in [drill]"
)


@dataclass(frozen=True)
class LayoutProof:
    """The checks and controls of the layouts of one point; `directory` is the sandbox's own.

    `judged` is told of each blob that was read, as by Proof.
    """

    restored: Restored
    directory: Path
    judged: Callable[[str, int, bool], object] | None = None

    def checks(self, ledger: Ledger, stack: contextlib.ExitStack) -> Iterator[Check]:
        """Each asks the layouts themselves, but for the one that pulls."""
        root, known = self.restored.root, self.restored.dangling
        blobs = self.restored.blobs
        assert blobs is not None
        yield Check(CheckKind.TREE, partial(tree.only_files, blobs.cleaned, self.restored.hidden.said))
        spool = stack.enter_context(on_disk.examined(root, self.directory / "layouts.db"))
        yield Check(CheckKind.TAGS, partial(self._pull, spool, ledger))
        yield Check(CheckKind.BLOBS, partial(layouts.blobs_hash, root, ledger, judged=self.judged))
        yield Check(CheckKind.CLOSURE, partial(layouts.closure_holds, spool, known))
        yield Check(CheckKind.MANIFESTS, partial(layouts.manifests_resolve, spool, known))
        if (listed := self.restored.image_list) is not None:
            yield Check(CheckKind.TAG_LIST, lambda: layouts.images_agree(spool, image_list.from_file(listed)))
        if (needed := self.restored.digests) is not None:
            yield Check(CheckKind.DIGESTS, lambda: self._agree(spool, needed))

    def controls(self) -> Iterator[Control | Unplanted]:
        """See layouts.Faults."""
        return layouts.Faults(self.restored.root, self.directory / "controls").controls()

    def _pull(self, spool: LayoutSpool, ledger: Ledger) -> Finding:
        if self.restored.registry is None:
            return not_provable(_NO_ZOT)
        tags = (Tag(repository, name, digest) for repository, name, digest in spool.tags())
        return images.tags_pull(self.restored.registry, tags, ledger, self.restored.dangling)

    def _agree(self, spool: LayoutSpool, needed: Path) -> Finding:
        known = self.restored.dangling
        unserved = [gap for gap in spool.gaps() if known.image(gap.repository, gap.digest)]
        return lists.agree(digests.from_file(needed), spool.digests(unserved), "digests")
