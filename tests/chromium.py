"""Headless Chromium of the system, for tests and for the README's pictures."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, sync_playwright

HOW_TO_INSTALL = "there is no Chromium: .ci/browser installs it (Debian: sudo apt-get install chromium)"
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


def need_chromium() -> str:
    """Its path; a test is skipped where there is none, and in continuous integration it fails."""
    if (path := find_chromium()) is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(HOW_TO_INSTALL)
    return path


@contextmanager
def chromium(path: str) -> Iterator[Browser]:
    """A running browser of Playwright's."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=_ARGUMENTS)
        try:
            yield browser
        finally:
            browser.close()
