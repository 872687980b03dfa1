"""What of a mount table lies below a directory of ours."""

from __future__ import annotations

from pathlib import Path

from drkit.tools.restic.mount import mounted_below

TABLE = """\
22 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw
40 22 0:50 / /var/lib/drkit/runs/one rw - tmpfs x rw
41 22 0:51 / /var/lib/drkit/runs/one/mount ro - fuse restic ro
42 41 0:52 / /var/lib/drkit/runs/one/mount/a\\040b ro - fuse restic ro
43 22 0:53 / /var/lib/drkit/runs/one-more/mount ro - fuse restic ro
"""


def test_what_is_mounted_below() -> None:
    found = mounted_below(TABLE, Path("/var/lib/drkit/runs/one"))
    assert found == ["/var/lib/drkit/runs/one/mount/a b", "/var/lib/drkit/runs/one/mount"]
