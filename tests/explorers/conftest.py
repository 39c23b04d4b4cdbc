"""An executed explorer in a real browser: `explorer_page` in JupyterLab, `voila_page` served by Voila."""

from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Page

from tests.explorers.servers import jupyterlab, open_notebook, prepare, voila

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
SCREEN = {"width": 1500, "height": 1100}


@pytest.fixture(scope="session")
def environment(tmp_path_factory):
    """What kernels inherit: a store of their own, and the kernel of this environment."""
    return {"WORKBOOK_STORE": str(tmp_path_factory.mktemp("store")), "JUPYTER_PREFER_ENV_PATH": "1"}


@pytest.fixture(scope="module")
def explorer_page(request, browser, environment, tmp_path_factory):
    """The page of a notebook in JupyterLab after all its cells ran; parametrised by (name, parameters)."""
    name, parameters = request.param
    folder = tmp_path_factory.mktemp("lab")
    prepare(NOTEBOOKS / f"{name}.ipynb", folder, parameters)
    with jupyterlab(folder, environment) as address:
        page = browser.new_page(viewport=SCREEN)
        open_notebook(page, address, f"{name}.ipynb")
        yield page
        page.close()


@dataclass
class Served:
    """A page of `workbook explore`: where it stands, what it asked for over the network, and the errors in it."""

    page: Page
    address: str
    requests: list[str]
    errors: list[str]


@pytest.fixture(scope="module")
def voila_page(request, browser, environment, tmp_path_factory):
    """An explorer as it is served, once it can be used; parametrised by (name, parameters)."""
    name, parameters = request.param
    with voila(name, parameters, environment, tmp_path_factory.mktemp("voila")) as address:
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        served = Served(page, address, [], [])
        page.on("request", lambda asked: served.requests.append(asked.url))
        page.on("pageerror", lambda error: served.errors.append(str(error)))
        page.goto(address, timeout=180_000)
        page.locator(".explorer .js-plotly-plot .nsewdrag").first.wait_for(timeout=120_000)
        yield served
        page.close()
