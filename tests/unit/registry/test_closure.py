"""The comparison of two sorted streams, against the same done with sets."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from drkit.model import SizeMismatch
from drkit.registry.closure import closure
from drkit.tools.tally import FIRST

_DIGESTS = st.integers(0, 60).map(lambda number: f"sha256:{number:064x}")
_LISTED = st.dictionaries(_DIGESTS, st.none() | st.integers(0, 3))
_STORED = st.dictionaries(_DIGESTS, st.integers(0, 3))


@given(_LISTED, _STORED)
def test_it_says_what_sets_say(listed: dict[str, int | None], stored: dict[str, int]) -> None:
    faults: list[tuple[str, int | None]] = []
    found = closure(
        sorted(listed.items(), key=lambda item: item[0]),
        sorted(stored.items()),
        lambda digest, size: faults.append((digest, size)),
    )
    missing = sorted(listed.keys() - stored.keys())
    both = sorted(listed.keys() & stored.keys())
    wrong = [digest for digest in both if listed[digest] not in (None, stored[digest])]
    spare = sorted(stored.keys() - listed.keys())
    assert (found.referenced, found.present) == (len(listed), len(both))
    assert (found.missing, found.missing_names) == (len(missing), tuple(missing[:FIRST]))
    assert (found.size_mismatch, found.mismatch_names) == (len(wrong), tuple(wrong[:FIRST]))
    assert (found.unreferenced, found.unreferenced_names) == (len(spare), tuple(spare[:FIRST]))
    assert found.unreferenced_bytes == sum(stored[digest] for digest in spare)
    assert faults == [(digest, listed[digest]) for digest in sorted(missing + wrong)]
    assert found.whole is not bool(missing or wrong)


def test_a_wrong_size_is_told_with_both_sizes() -> None:
    found = closure([("sha256:a", 10)], [("sha256:a", 7)])
    assert found.mismatches == (SizeMismatch("sha256:a", 10, 7),)
