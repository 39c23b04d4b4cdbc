"""Headless Chromium of the system, for tests and for the README's pictures."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

HOW_TO_INSTALL = "no Chromium; on Debian: sudo apt-get install chromium"
_ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def find_chromium() -> str | None:
    """Its path; None if it is not installed."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return next((path for name in names if (path := shutil.which(name))), None)


@contextmanager
def chromium(path: str) -> Iterator[Any]:
    """A running browser of Playwright's."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=_ARGUMENTS)
        yield browser
        browser.close()
