"""QR codes on a page: what does not scale with the page cannot be scanned."""

from __future__ import annotations

import re

from drkit.reports import qr


def test_a_code_fills_what_room_it_is_given() -> None:
    made = qr.svg("age1" + "q" * 58)
    opening = re.match(r"<svg [^>]*>", made)
    assert opening
    assert 'viewBox="0 0 ' in opening[0]
    assert "width" not in opening[0]


def test_what_no_code_can_hold_is_left_out() -> None:
    assert qr.svg("x" * 5000) == ""
