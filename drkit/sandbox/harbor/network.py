"""Holds a network that has nothing but its loopback, for others to join; a program of its own.

`unshare --net` starts it. It switches the loopback on, says so by making a file, and waits until it is ended.
"""

from __future__ import annotations

import fcntl
import signal
import socket
import struct
import sys
from pathlib import Path

# <linux/sockios.h>, <linux/if.h>
_SET_FLAGS = 0x8914
_UP = 0x1


def main(words: list[str]) -> None:
    """`READY`: the file that says that the network is there."""
    (ready,) = words
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SET_FLAGS, struct.pack("16sh22x", b"lo", _UP))
    Path(ready).touch()
    while True:
        signal.pause()


if __name__ == "__main__":
    main(sys.argv[1:])
