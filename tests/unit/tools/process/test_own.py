"""Whether a process is dead for sure: only of this very boot and namespace anybody can tell."""

from __future__ import annotations

import subprocess
from dataclasses import replace

from drkit.tools.process import own


def test_a_living_process_is_not_dead() -> None:
    mine = own.own()
    assert mine.boot
    assert mine.started > 0
    assert not mine.dead


def test_one_that_has_ended_is() -> None:
    with subprocess.Popen(["sleep", "60"]) as child:
        alive = replace(own.own(), pid=child.pid)
        begun = own.started_at(child.pid)
        assert begun is not None
        assert not replace(alive, started=begun).dead
        child.kill()
        child.wait()
    assert replace(alive, started=begun).dead


def test_another_process_of_the_same_number_is_not_it() -> None:
    mine = own.own()
    assert replace(mine, started=mine.started - 1).dead


def test_nobody_can_tell_of_another_host_boot_or_container() -> None:
    mine = replace(own.own(), started=1)
    assert not replace(mine, host="another").dead
    assert not replace(mine, boot="another").dead
    assert not replace(mine, boot="").dead
