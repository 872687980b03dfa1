"""The status page, in a real browser: wide, narrow, dark, by keyboard, on paper, and all in one file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from drkit.actions.status import ahead
from drkit.config import Schedule
from drkit.model import Attempt, NextRun, Part, Point, Problem, ProblemKind, RepositoryStatus, Status, utc_now
from drkit.reports import charts, status_page
from tests.needs import program
from tests.samples import sealed, status

DAY = timedelta(days=1)
NOW = utc_now()
SCHEDULE = Schedule(backup="0 2 * * *", drill="0 5 * * 0", timezone="UTC")


def history() -> list[Attempt]:
    """A year: a backup each day, of which one failed, and full drills, of which one took too long."""
    found = []
    for days in range(360, 0, -1):
        at = NOW - days * DAY
        found.append(Attempt(f"b{days}", "backup", "", at - DAY / 100, at, 3 if days == 100 else 0))
        if days % 28 == 0:
            code, took = (5, 3900.0) if days == 140 else (0, 2400.0)
            drill = Attempt(f"d{days}", "drill", "full", at - DAY / 50, at, code, recovery_time_seconds=took)
            found.append(drill)
    # One that was killed.
    found.append(Attempt("k", "backup", "", NOW - 100 * DAY))
    return found


def points() -> list[Point]:
    found = []
    for days in (0, 1, 7, 60):
        point = sealed(f"point-{days}", NOW - days * DAY)
        assert point.manifest
        part = Part("blobs", "blobs", "s", "/p", (41 - days // 7) << 30, 1 << 28, 3.0)
        found.append(replace(point, manifest=replace(point.manifest, parts=(part,))))
    return found


def page_of(found: Status) -> str:
    due = ahead.days(SCHEDULE, found.site, found.at, charts.AHEAD)
    return status_page.render(found, points(), history(), due, UTC)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        path = program("chromium-headless-shell")
        found = playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        yield found
        found.close()


class Opened:
    """A page in a browser, with all that it asked for and complained of."""

    def __init__(self, browser: Browser, text: str, directory: Path, **options: object) -> None:
        file = directory / "status.html"
        status_page.write(file, text)
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.page: Page = browser.new_context(**options).new_page()  # type: ignore[arg-type]  # options
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.goto(file.as_uri())
        assert self.requests == [file.as_uri()], "everything is in the one file"
        assert self.complaints == []


def colour(page: Page, selector: str, what: str = "background-color") -> tuple[int, ...]:
    said = page.locator(selector).first.evaluate(f"each => getComputedStyle(each)['{what}']")
    return tuple(map(int, re.findall(r"\d+", said)[:3]))


def test_what_a_person_sees(browser: Browser, tmp_path: Path) -> None:
    page = Opened(browser, page_of(status(NOW)), tmp_path, viewport={"width": 1100, "height": 800}).page
    assert page.title() == "NOT GREEN: registry.example.com"
    assert page.locator("h1").inner_text() == "registry.example.com is not green: rto missed, 1 problem"
    first, second = page.locator("ul.problems li").all_inner_texts()
    assert first.startswith(
        "problem: the last drill took longer than the objective allows\nmake the slow stages"
    )
    assert second.startswith("warning: 1 incomplete recovery point\n")
    text = page.locator("main").inner_text()
    for words in ("20261124-020000-7bd10e", "cannot be read", "in no recovery point", "/etc/ssl/harbor/"):
        assert words in text
    assert "Backups: 360 days with one that succeeded, 1 day with one that did not." in text
    killed = page.locator("svg rect.bad title", has_text="a backup never ended")
    assert killed.count() == 1
    assert page.locator("svg rect.bad").count() == 2 + 1, (
        "a backup, a drill of the past, the last quick drill"
    )
    assert page.locator("svg rect.bad + path.x").count() == 3, "and not by colour alone"
    plot = page.locator("svg[aria-label*='recovery' i], svg[aria-label*='bring everything back']").first
    assert plot.locator("line.target").count() == 1
    assert plot.locator("circle.mark").count() == 12
    assert "not passed" in (plot.locator("path.cross title").text_content() or "")
    due = page.locator("svg[aria-label*='backup: 91 times']")
    assert due.locator("rect.due").count() == 91 + 13
    assert not page.locator("#stale").is_visible()


def test_narrow_and_by_keyboard(browser: Browser, tmp_path: Path) -> None:
    page = Opened(browser, page_of(status(NOW)), tmp_path, viewport={"width": 360, "height": 640}).page
    assert page.evaluate("document.documentElement.scrollWidth") == 360, "the page itself scrolls down alone"
    year = page.locator(".year[aria-label='Backups of the last year']")
    last = year.locator("rect").last.bounding_box()
    assert last
    assert 0 < last["x"] < 360, "it begins with the newest day"
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.getAttribute('aria-label')") == "Backups of the last year":
            break
    else:
        pytest.fail("what scrolls cannot be reached by keyboard")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    for _ in range(200):
        page.keyboard.press("ArrowLeft")
        if page.evaluate("document.activeElement.scrollLeft") < 0:
            break
    else:
        pytest.fail("it does not scroll by keyboard")


def test_dark_light_and_paper(browser: Browser, tmp_path: Path) -> None:
    dark = Opened(browser, page_of(status(NOW)), tmp_path, color_scheme="dark").page
    light = Opened(browser, page_of(status(NOW)), tmp_path, color_scheme="light").page
    assert max(colour(dark, "body")) < 60 < 200 < min(colour(light, "body"))
    for page in (dark, light):
        for selector in ("body", "td.good", "td.bad", ".hint", "h1"):
            back = colour(page, selector if selector == "h1" else "body")
            assert contrast(colour(page, selector, "color"), back) >= 4.5, selector
    dark.emulate_media(media="print")
    assert colour(dark, "body") == (255, 255, 255)
    assert len(dark.pdf()) > 10_000


def contrast(one: tuple[int, ...], other: tuple[int, ...]) -> float:
    """By WCAG 2's formula."""
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(rgb: tuple[int, ...]) -> float:
    parts = [each / 255 for each in rgb]
    linear = [each / 12.92 if each <= 0.03928 else ((each + 0.055) / 1.055) ** 2.4 for each in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_a_page_that_nobody_writes_any_more_says_so(browser: Browser, tmp_path: Path) -> None:
    """It was green, and would be for ever."""
    at = NOW - 3 * DAY
    green = replace(status(at), green=True, objectives=(), findings=())
    page = Opened(browser, page_of(green), tmp_path).page
    assert page.locator("#stale").is_visible()
    assert (
        page.locator("#stale").inner_text().startswith("This page is 3 days old: what it says may no longer")
    )
    weekly = replace(green, next_runs=(NextRun("backup", "0 2 * * 0", at + 7 * DAY),))
    assert not Opened(browser, page_of(weekly), tmp_path).page.locator("#stale").is_visible()
    without = Opened(browser, page_of(green), tmp_path, java_script_enabled=False).page
    assert "Compare the time below with your clock" in without.locator("noscript").inner_text()


def test_nothing_that_a_name_holds_becomes_part_of_the_page(browser: Browser, tmp_path: Path) -> None:
    odd = Problem(
        ProblemKind.KEY_LOST, "<script>alert(1)</script> `<b>x</b>` is gone", "<img src=x onerror=y>"
    )
    page = Opened(browser, page_of(replace(status(NOW), findings=(odd,))), tmp_path).page
    shown = page.locator("ul.problems li").inner_text()
    assert shown == "problem: <script>alert(1)</script> <b>x</b> is gone\n<img src=x onerror=y>"
    assert page.locator("ul.problems code").inner_text() == "<b>x</b>"


def test_a_site_of_which_nothing_is_known_has_a_page(browser: Browser, tmp_path: Path) -> None:
    nothing = Status("site", NOW, False, (), None, None, None, None, 0, (), ())
    text = status_page.render(nothing, (), (), {}, UTC)
    page = Opened(browser, text, tmp_path).page
    shown = page.locator("main").inner_text()
    for words in ("No full drill has measured it yet", "There is nothing on the schedule", "0 days with one"):
        assert words in shown


def test_of_a_repository_that_cannot_be_read_nothing_is_called_never(
    browser: Browser, tmp_path: Path
) -> None:
    found = status(NOW)
    gone = RepositoryStatus("primary", None, None, None, None, None, None)
    none = tuple(replace(each, actual_seconds=None, met=False) for each in found.objectives)
    unknown = replace(found, repositories=(gone,), objectives=none, runs=(), sources=(), certificates=())
    page = Opened(browser, status_page.render(unknown, (), (), {}, UTC), tmp_path).page
    shown = page.locator("main").inner_text()
    assert "never" not in shown.replace("never ran here", "")
    assert shown.count("Nobody can tell") == 3
    assert shown.count("unknown") == 4


def test_a_page_is_readable_for_all(tmp_path: Path) -> None:
    status_page.write(tmp_path / "status.html", "x")
    assert (tmp_path / "status.html").stat().st_mode & 0o777 == 0o644
