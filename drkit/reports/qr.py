"""QR codes as SVG, to stand inside a page."""

from __future__ import annotations

import io

import segno


def svg(text: str) -> str:
    """A QR code of the text, as an SVG element (error correction M); empty for what no code can hold."""
    buffer = io.BytesIO()
    try:
        code = segno.make(text, error="m", micro=False, boost_error=False)
    except segno.DataOverflowError:
        return ""
    code.save(buffer, kind="svg", xmldecl=False, svgns=True, border=4, light="#fff", omitsize=True)
    return buffer.getvalue().decode()
