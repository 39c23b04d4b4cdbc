"""JupyterLab and Voila on loopback, as the explorers' tests, benchmarks and pictures need them."""

import json
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import papermill
import pytest
from playwright.sync_api import Page
from playwright.sync_api import TimeoutError as PlaywrightTimeout

from tests.accessibility import violations

# of a notebook in JupyterLab: false while it runs, "done", or the error of the first cell that failed
_RAN = """() => {
    const outputs = [...document.querySelectorAll('.jp-OutputArea-output')].map(output => output.innerText);
    const failed = outputs.find(text => text.includes('Traceback (most recent call last)'));
    const prompts = [...document.querySelectorAll('.jp-Notebook .jp-CodeCell .jp-InputArea-prompt')];
    return failed ? failed : prompts.every(prompt => /\\[\\d+\\]/.test(prompt.innerText)) && 'done';
}"""
_ATTEMPTS = 6
_START = 180.0  # seconds that a server may take to answer


def prepare(notebook: Path, folder: Path, parameters: Mapping[str, Any]) -> Path:
    """A copy of the notebook with these parameters, not executed."""
    copy = folder / notebook.name
    papermill.execute_notebook(notebook, copy, dict(parameters), prepare_only=True, progress_bar=False)
    return copy


@contextmanager
def jupyterlab(folder: Path, environment: Mapping[str, str], *, dark: bool = False) -> Iterator[str]:
    """The address of a JupyterLab that shows this folder; settings and token are its own."""
    token, port = secrets.token_hex(8), _free_port()
    settings = folder / ".settings"
    _write_settings(settings, dark)
    command = [
        *("-m", "jupyterlab", "--no-browser", "--ip=127.0.0.1", f"--port={port}", "--ServerApp.port_retries=0"),
        *(f"--IdentityProvider.token={token}", f"--ServerApp.root_dir={folder}"),
        *(f"--LabApp.user_settings_dir={settings}", f"--LabApp.workspaces_dir={folder / '.workspaces'}"),
        *(["--allow-root"] if os.getuid() == 0 else []),
    ]
    with _served(command, f"http://127.0.0.1:{port}/api", environment, folder):
        yield f"http://127.0.0.1:{port}/lab/tree/{{name}}?reset&token={token}"


@contextmanager
def voila(name: str, parameters: Mapping[str, Any], environment: Mapping[str, str], folder: Path) -> Iterator[str]:
    """The address at which `workbook explore NAME` serves an explorer, with any parameters of its notebook."""
    token, port = secrets.token_hex(8), _free_port()
    more = ["--no-browser", f"--port={port}", f"--Voila.token={token}"]
    program = f"from workbook.explorers.serve import serve; serve({name!r}, {dict(parameters)!r}, {more})"
    # Voila runs the notebook before it answers the root: ask for something that is there at once
    with _served(["-c", program], f"http://127.0.0.1:{port}/voila/static/favicon.ico", environment, folder):
        yield f"http://127.0.0.1:{port}/?token={token}"


def open_notebook(page: Page, address: str, name: str, *, timeout: float = 180) -> None:
    """Open a notebook in JupyterLab, run all its cells, and wait until they are done; fails on an error in a cell."""
    page.goto(address.format(name=name))
    page.locator(".jp-Notebook .jp-CodeCell").first.wait_for(timeout=60_000)
    page.locator("#jp-main-statusbar").get_by_text("| Idle").wait_for(timeout=60_000)
    for _ in range(_ATTEMPTS):  # what is asked of a kernel whose channels still open is lost without a word
        page.locator(".lm-MenuBar-itemLabel", has_text="Run").click()
        page.locator(".lm-Menu-itemLabel").get_by_text("Run All Cells", exact=True).click()
        try:
            page.locator(".jp-CodeCell .jp-InputArea-prompt").first.get_by_text("[ ]").wait_for(
                state="hidden", timeout=5_000
            )
            break
        except PlaywrightTimeout:
            continue
    outcome = page.wait_for_function(_RAN, timeout=timeout * 1000).json_value()
    if outcome != "done":
        pytest.fail(f"{name} failed in JupyterLab: {outcome}")


def _write_settings(folder: Path, dark: bool) -> None:
    """No news, no asking; every cell is drawn, also those out of sight."""
    chosen = {
        "notebook-extension/tracker": {"windowingMode": "none"},
        "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
        "apputils-extension/themes": {"theme": f"JupyterLab {'Dark' if dark else 'Light'}"},
    }
    for name, values in chosen.items():
        path = folder / "@jupyterlab" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values))


@contextmanager
def _served(command: list[str], probe: str, environment: Mapping[str, str], folder: Path) -> Iterator[None]:
    """The server while it is needed; what it wrote is shown where it does not start."""
    log = folder / ".server.log"
    run = [sys.executable, *command]
    with log.open("w") as file:
        process = subprocess.Popen(run, stdout=file, stderr=file, env={**os.environ, **environment}, cwd=folder)
    try:
        deadline = time.monotonic() + _START
        while not _answers(probe):
            if process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"{' '.join(command[:2])} did not start:\n{log.read_text()[-2000:]}")
            time.sleep(0.2)
        yield
    finally:
        process.terminate()  # it stops its kernels
        process.wait(timeout=30)


def _answers(address: str) -> bool:
    try:
        with urlopen(address, timeout=5):
            return True
    except (URLError, OSError):
        return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def asserts_a_good_start(served: Any) -> None:
    """That the page asked this machine alone, has no error, shows all without scrolling, and is accessible."""
    local = ("http://127.0.0.1:", "ws://127.0.0.1:", "data:", "blob:")
    assert [address for address in served.requests if not address.startswith(local)] == []
    assert served.errors == []
    words = served.page.locator("body").inner_text()
    assert "model not found" not in words and "0%" not in words
    below = "all => all.map(each => each.getBoundingClientRect().bottom)"
    shown = served.page.locator(".explorer .js-plotly-plot, .explorer .widget-hslider").evaluate_all(below)
    assert shown and max(shown) <= 900
    assert violations(served.page) == []
    assert served.page.locator(".explorer .js-plotly-plot").first.get_attribute("aria-label")
