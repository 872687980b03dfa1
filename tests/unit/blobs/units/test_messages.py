"""What a worker is sent and what it answers."""

from __future__ import annotations

import json

import pytest

from drkit import __version__
from drkit.blobs.inventory import Entry
from drkit.blobs.units import messages, worker
from drkit.blobs.units.messages import Question, Reply
from drkit.blobs.units.unit import Done, Wrong

ITEMS = (Entry("sha256:aa", "key/of it", 7, "v1"), Entry("sha256:ab", "", 0))
PLACE = {"work": "hash", "source": {"kind": "directory", "root": "/nowhere"}}


def test_a_question_and_its_answer_come_as_they_were_sent() -> None:
    assert messages.asked(messages.ask(PLACE, ITEMS)) == Question(PLACE, ITEMS, __version__)
    for found in (
        {1: Wrong("bytes", 7, "ab"), 0: Wrong("unreadable", said="a sentence")},
        {1: Done("v2"), 0: Done(kept=True, other="v3")},
    ):
        assert messages.replied(messages.reply(found), 2) == Reply(found)
    assert messages.replied(messages.refuse("0.9"), 2) == Reply({}, refused="0.9")
    assert messages.replied(messages.fail("no right"), 2) == Reply({}, failed="no right")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"\xff",
        b"{}",
        b'{"found": 7}',
        b'{"found": [[2, "gone", 0, "", ""]]}',
        b'{"found": [[-1, "gone", 0, "", ""]]}',
        b'{"found": [["0", "gone", 0, "", ""]]}',
        b'{"found": [[0, "fine", 0, "", ""]]}',
        b'{"found": [[0, "gone"]]}',
        b'{"found": [[0, "bytes", Infinity, "", ""]]}',
        b'{"found": [[0, 7, false, null]]}',
        b'{"found": [[0, "v1", "yes", null]]}',
        b'{"found": [[0, "v1", true, 7]]}',
        b"[" * 100_000,
    ],
)
def test_what_is_no_answer_is_told(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"it |Expecting|decode|unpack"):
        messages.replied(data, 2)


def test_a_worker_tells_that_it_has_another_drkit() -> None:
    question = json.loads(messages.ask(PLACE, ITEMS)) | {"drkit": "0.0.1"}
    answer = messages.replied(worker.perform(json.dumps(question).encode()), 2)
    assert answer == Reply({}, refused=__version__)


def test_a_worker_without_the_credentials_file_says_so() -> None:
    place = {
        "kind": "bucket",
        "copies": False,
        "s3": {"bucket": "vault", "credentials_file": "/nowhere/keys"},
    }
    answer = messages.replied(worker.perform(messages.ask({"work": "hash", "source": place}, ITEMS)), 2)
    assert answer.failed == "this worker has no /nowhere/keys: No such file or directory"
