"""Finding secret files: nothing that is named is passed over without a word."""

from __future__ import annotations

import os
import socket
import tempfile
from pathlib import Path

import pytest

from drkit.errors import ConfigError
from drkit.secrets.bundle import pack, unpack
from drkit.secrets.collect import collect


@pytest.fixture
def top(tmp_path: Path) -> Path:
    for name in ("a.pem", "b.pem", "c.key", ".hidden.pem", "sub/d.pem"):
        path = tmp_path / "ssl" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return tmp_path / "ssl"


def names(top: Path, *paths: Path) -> list[str]:
    return sorted(str(Path(m.path).relative_to(top)) for m in collect(paths).members if m.kind == "file")


def test_a_directory_and_a_file(top: Path) -> None:
    assert names(top, top) == [".hidden.pem", "a.pem", "b.pem", "c.key", "sub/d.pem"]
    assert names(top, top / "a.pem", top / "a.pem") == ["a.pem"]


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("*.pem", [".hidden.pem", "a.pem", "b.pem"]),
        ("[ab].pem", ["a.pem", "b.pem"]),
        ("?.key", ["c.key"]),
        ("**/*.pem", [".hidden.pem", "a.pem", "b.pem", "sub/d.pem"]),
        ("s*", ["sub/d.pem"]),
    ],
)
def test_patterns(top: Path, pattern: str, found: list[str]) -> None:
    assert names(top, top / pattern) == found


def test_a_name_that_looks_like_a_pattern_is_a_name(top: Path) -> None:
    (top / "odd[1].pem").write_text("odd")
    assert names(top, top / "odd[1].pem") == ["odd[1].pem"]


HINT = "see paths in [secrets]; a key that was moved is not backed up"


@pytest.mark.parametrize(
    ("name", "sentence"),
    [("none.pem", "there is no {top}/none.pem"), ("*.p12", "nothing matches {top}/*.p12")],
)
def test_what_is_not_there(top: Path, name: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        collect([top, top / name])
    assert caught.value.message == sentence.format(top=top)
    assert caught.value.hint == HINT


def test_a_link_that_leads_nowhere(top: Path) -> None:
    (top / "live.pem").symlink_to("../archive/live1.pem")
    with pytest.raises(ConfigError) as caught:
        collect([top])
    wanted = f"cannot read {top}/live.pem: it is a link to ../archive/live1.pem, which is not there"
    assert caught.value.message == wanted


def test_links_are_followed_where_their_target_is_not_saved(top: Path, tmp_path: Path) -> None:
    archive = tmp_path / "archive"
    archive.mkdir()
    (archive / "live1.pem").write_text("live")
    (top / "live.pem").symlink_to("../archive/live1.pem")
    (top / "same.pem").symlink_to("a.pem")
    found = {Path(m.path).name: m for m in collect([top]).members}
    assert (found["live.pem"].kind, found["live.pem"].data) == ("file", b"live")
    assert (found["same.pem"].kind, found["same.pem"].link) == ("link", "a.pem")


def test_a_link_comes_back_as_it_was_written(top: Path) -> None:
    os.symlink("./sub/../a.pem", top / "round.pem")  # noqa: PTH211 - pathlib would tidy it up
    os.symlink("./a.pem", top / "odd.pem")  # noqa: PTH211
    found = {Path(m.path).name: m for m in collect([top]).members}
    assert (found["odd.pem"].kind, found["odd.pem"].link) == ("link", "./a.pem")
    assert (found["round.pem"].kind, found["round.pem"].data) == ("file", b"a.pem"), (
        "no way round in a bundle"
    )


def test_a_link_that_only_by_its_words_leads_to_what_is_saved(top: Path, tmp_path: Path) -> None:
    """The kernel follows the links on the way, and what it finds there is what counts."""
    other = tmp_path / "other"
    (other / "deep").mkdir(parents=True)
    (other / "a.pem").write_text("another a.pem")
    (top / "way").symlink_to(other / "deep")
    (top / "link.pem").symlink_to("way/../a.pem")
    found = {Path(m.path).name: m for m in collect([top]).members}
    assert (found["link.pem"].kind, found["link.pem"].data) == ("file", b"another a.pem")


def test_a_link_to_itself_and_links_in_a_circle(top: Path) -> None:
    (top / "self.pem").symlink_to("self.pem")
    with pytest.raises(ConfigError, match=r"cannot read .*self.pem: Too many levels of symbolic links"):
        collect([top])
    (top / "self.pem").unlink()
    (top / "one.pem").symlink_to("two.pem")
    (top / "two.pem").symlink_to("one.pem")
    with pytest.raises(ConfigError, match=r"cannot read .*(one|two).pem: Too many levels"):
        collect([top])


def test_what_is_named_below_a_link_comes_back(top: Path) -> None:
    """A bundle that nobody can unpack is worse than a link that comes back as a directory."""
    (top / "current").symlink_to("sub")
    found = collect([top, top / "current/d.pem"]).members
    assert sorted(unpack(pack(found)).members, key=lambda m: m.path) == sorted(found, key=lambda m: m.path)
    kinds = {str(Path(m.path).relative_to(top)): m.kind for m in found}
    assert (kinds["current"], kinds["current/d.pem"], kinds["sub/d.pem"]) == ("directory", "file", "file")
    assert {m.kind for m in collect([top]).members if m.path.endswith("current")} == {"link"}


def test_a_name_that_is_no_utf_8(top: Path) -> None:
    (top / os.fsdecode(b"k\xff.pem")).write_text("x")
    with pytest.raises(ConfigError, match=r"the name of '.*k\\udcff.pem' is no UTF-8"):
        collect([top])


def test_a_linked_directory_is_looked_into(top: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "deep").mkdir(parents=True)
    (elsewhere / "deep/e.pem").write_text("e")
    (top / "more").symlink_to(elsewhere)
    assert "more/deep/e.pem" in names(top, top)
    assert collect([top / "more"]).members[0].kind == "directory"


def test_links_that_go_round_are_an_error(top: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "back").symlink_to(elsewhere)
    (top / "more").symlink_to(elsewhere)
    with pytest.raises(ConfigError, match="leads to a directory that is collected already"):
        collect([top])


def test_a_socket_is_left_out_and_told(top: Path) -> None:
    with socket.socket(socket.AF_UNIX) as agent:
        agent.bind(str(top / "S.agent"))
        found = collect([top])
    assert found.left_out == [f"{top}/S.agent is a socket, and not in the backup"]
    assert not any("S.agent" in member.path for member in found.members)


def test_a_pipe_is_an_error(top: Path) -> None:
    os.mkfifo(top / "pipe")
    with pytest.raises(ConfigError, match="is neither file nor directory"):
        collect([top])


@pytest.mark.parametrize("name", ["two\nlines", "a\x1b[2J", "del\x7f"])
def test_control_characters_in_a_name(top: Path, name: str) -> None:
    (top / name).write_text("x")
    with pytest.raises(ConfigError, match="a control character is in the name of"):
        collect([top])


def test_what_may_not_be_read() -> None:
    with tempfile.TemporaryDirectory(dir="/var/tmp") as name:
        top = Path(name)
        top.chmod(0o755)
        (top / "sub").mkdir()
        (top / "c.key").write_text("x")
        (top / "sub").chmod(0)
        (top / "c.key").chmod(0)
        assert as_nobody(top / "c.key") == f"cannot read {top}/c.key"
        assert as_nobody(top) == f"cannot read the directory {top}/sub"
        (top / "sub").chmod(0o700)


def as_nobody(path: Path) -> str:
    """What `collect` says to a user who may not read everything, as root may."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        if os.geteuid() == 0:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
        try:
            collect([path])
            said = "nothing"
        except ConfigError as error:
            said = error.message.partition(":")[0]
        os.write(writer, said.encode())
        os._exit(0)
    os.close(writer)
    os.waitpid(pid, 0)
    with os.fdopen(reader) as answer:
        return answer.read()


def test_too_much(top: Path) -> None:
    with pytest.raises(ConfigError, match="the secrets are 0 MiB, more than 0"):
        collect([top / "a.pem", top / "b.pem", top / "c.key"], limit=10)
    with pytest.raises(ConfigError, match="is larger than 0 MiB"):
        collect([top / "a.pem"], limit=4)
