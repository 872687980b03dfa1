"""harbor.yml for another host: what is changed, and that nothing else is."""

from __future__ import annotations

import pytest

from drkit.harbor.hostname import is_hostname, moved

TEXT = """\
# hostname: an example in a comment
hostname: old.example.com # ours
http:
  hostname: deeper
external_url: "https://old.example.com:8443/path" # behind a proxy
data_volume: /data
"""


def test_two_lines_change_and_no_others() -> None:
    assert moved(TEXT, "new.example.com").splitlines() == [
        "# hostname: an example in a comment",
        "hostname: new.example.com",
        "http:",
        "  hostname: deeper",
        "external_url: https://new.example.com:8443/path",
        "data_volume: /data",
    ]


def test_what_is_commented_out_stays_so() -> None:
    text = "hostname: a\n# external_url: https://reg.mydomain.com:8433\n"
    assert moved(text, "b") == text.replace("hostname: a", "hostname: b")


@pytest.mark.parametrize("name", ["registry.example.com", "harbor", "10.0.0.7", "a-b.c"])
def test_names(name: str) -> None:
    assert is_hostname(name)


@pytest.mark.parametrize(
    "name", ["", "https://x", "a b", "a\nb: c", "-a", "localhost", "a..b", "x:443", "é.com"]
)
def test_no_names(name: str) -> None:
    assert not is_hostname(name)
