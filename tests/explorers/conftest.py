"""An executed explorer in a real browser: `explorer_page` in JupyterLab, `voila_page` served by Voila."""

from pathlib import Path

import pytest

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


@pytest.fixture(scope="module")
def voila_page(request, browser, environment, tmp_path_factory):
    """The page that Voila serves of a notebook; parametrised by (name, parameters)."""
    name, parameters = request.param
    notebook = prepare(NOTEBOOKS / f"{name}.ipynb", tmp_path_factory.mktemp("voila"), parameters)
    with voila(notebook, environment) as address:
        page = browser.new_page(viewport=SCREEN)
        page.goto(address, timeout=180_000)
        page.locator(".js-plotly-plot").first.wait_for(timeout=120_000)
        yield page
        page.close()
