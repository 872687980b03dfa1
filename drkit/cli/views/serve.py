"""What `drkit serve` says when it begins and when it ends."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from drkit.cli.output import Output
from drkit.cli.views.layout import facts
from drkit.reports.units import counted, moment, size

if TYPE_CHECKING:
    from drkit.actions.serve import ServeResult, Serving


def announce(serving: Serving) -> None:
    """Where the registry is, from now on."""
    paper = Output(sys.stdout)
    scheme = "https" if serving.certificate else "http"
    rows = [
        ("point", f"{serving.point}, as of {moment(serving.consistent_at)}"),
        ("address", f"{scheme}://{serving.address}"),
        ("certificate", serving.certificate or "none: plain HTTP"),
    ]
    if serving.only:
        rows.append(("repositories", serving.only))
    if serving.password:
        rows.append(("log in with", f"any user name, password {serving.password}"))
    elif serving.needs_password:
        rows.append(("log in with", "any user name, and the password in the file"))
    else:
        reached = "this machine alone reaches it" if serving.address.local else "everybody may pull"
        rows.append(("log in with", f"nothing: {reached}"))
    facts(paper, rows)
    paper.print("Images can be pulled now. Ctrl-C ends it.")
    sys.stdout.flush()


def ended(paper: Output, result: ServeResult) -> None:
    """What was pulled."""
    paper.print(
        f"Served {counted(result.manifests, 'manifest')} and {counted(result.blobs, 'blob')},"
        f" {size(result.bytes)},"
        f" of recovery point {result.point}."
    )
