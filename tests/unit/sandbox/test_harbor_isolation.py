"""Whether a network leads anywhere, by the kernel's own words."""

from __future__ import annotations

from drkit.sandbox.harbor.isolation import packets_out, ways_out

ROUTES = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
BRIDGE = "eth0\t00000000\t010011AC\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
LOOPBACK = "00000000000000000000000000000001 01 80 10 80       lo\n"
LINK_LOCAL = "fe800000000000000042acfffe110002 02 40 20 80     eth0\n"
HEAD = "Inter-|   Receive                                                |  Transmit\n face |bytes ...\n"
ONLY_LOOPBACK = (
    "    lo:    5000      50    0    0    0     0          0         0     5000      50    0 0 0 0 0 0\n"
)
TUNNEL = " tunl0:       0       0    0    0    0     0          0         0        0       0    0 0 0 0 0 0\n"
SENT = "  eth0:     900       9    0    0    0     0          0         0      700       7    0 0 0 0 0 0\n"


def test_a_network_with_a_loopback_alone() -> None:
    assert ways_out(ROUTES, LOOPBACK) == ()
    assert ways_out(ROUTES, "") == ()
    assert packets_out(HEAD + ONLY_LOOPBACK + TUNNEL) == 0


def test_a_route_leads_out() -> None:
    assert ways_out(ROUTES + BRIDGE, LOOPBACK) == ("eth0",)


def test_an_address_leads_out() -> None:
    assert ways_out(ROUTES, LOOPBACK + LINK_LOCAL) == ("eth0",)


def test_what_was_sent() -> None:
    assert packets_out(HEAD + ONLY_LOOPBACK + SENT) == 7
