"""Whether a network leads anywhere, by what the kernel says of it in /proc/PID/net; pure."""

from __future__ import annotations

_LOOPBACK = "lo"


def ways_out(routes: str, addresses: str) -> tuple[str, ...]:
    """The devices by which something could leave: `route` and `if_inet6`, as the kernel writes them.

    A device without an address and a route (the kernel puts some into each new network) leads nowhere.
    """
    by_route = [line.split()[0] for line in routes.splitlines()[1:] if line.strip()]
    by_address = [line.split()[-1] for line in addresses.splitlines() if line.strip()]
    return tuple(sorted({*by_route, *by_address} - {_LOOPBACK}))


def packets_out(devices: str) -> int:
    """How many packets have been sent by any device but the loopback: `dev`, as the kernel writes it."""
    sent = 0
    for line in devices.splitlines()[2:]:
        name, _, counters = line.partition(":")
        if name.strip() != _LOOPBACK:
            # Eight columns of what came in, then bytes and packets of what went out.
            sent += int(counters.split()[9])
    return sent
