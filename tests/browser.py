"""The machine's own Chromium, offline: fixtures that tests/conftest.py makes known."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, BrowserContext

    from tests.report.opened import Opened, Opens

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Return the machine's own Chromium."""
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        pytest.skip(f"no browser: none of {', '.join(NAMES)} is installed")
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 -- few tests open a page

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program)
        yield started
        started.close()


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Opens]:
    """Return what opens a page offline; in the end nothing may have gone wrong in it."""
    from tests.report.opened import Opened  # noqa: PLC0415 -- few tests open a page

    contexts: list[BrowserContext] = []
    pages: list[Opened] = []

    def opens(file: Path) -> Opened:
        contexts.append(browser.new_context(offline=True))
        pages.append(Opened(contexts[-1].new_page(), file))
        return pages[-1]

    yield opens
    for context in contexts:
        context.close()
    assert [complaint for page in pages for complaint in page.complaints] == []
