"""What is installed is what runs: the wheel, unpacked, without the checkout around it."""

import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from workbook.files import CHECKOUT

VERSION = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]["version"]

COMMANDS = """
import workbook
from typer.testing import CliRunner
from workbook.cli import app
from workbook.data.manifests import data_root
from workbook.files import HOME, IN_CHECKOUT
from workbook.report.survey import REPORTS
from workbook.store import Store
print(workbook.__version__, IN_CHECKOUT, HOME, data_root(), REPORTS, Store().root)
for words in (["data", "list"], ["new", "mine"], ["new", "mine"], ["results", "adopt", "pocket"]):
    result = CliRunner().invoke(app, words)
    print(result.exit_code, result.output)
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    pytest.importorskip("hatchling", reason="builds the wheel")
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(out)]
    subprocess.run(command, cwd=CHECKOUT, check=True, capture_output=True)
    (wheel,) = out.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(out / "site")
    return out / "site"


def test_manifests_and_notebooks_travel_in_the_wheel(installed):
    for folder, pattern in (("data_manifests", "*.yaml"), ("notebooks", "*.ipynb")):
        own = sorted(path.name for path in (CHECKOUT / folder).glob(pattern))
        assert own and sorted(path.name for path in (installed / "workbook" / folder).glob(pattern)) == own
    assert {path.name for path in installed.iterdir() if path.suffix != ".dist-info"} == {"workbook"}
    kept = [path.suffix for path in (installed / "workbook/notebooks/results").rglob("*") if path.is_file()]
    assert ".json" in kept and not {".html", ".js"} & set(kept), "the records travel, their pages do not"


def test_the_package_is_imported_without_metadata(installed, tmp_path):
    shutil.copytree(installed / "workbook", tmp_path / "site" / "workbook")
    # -S hides the metadata of the environment's own copy, and with it all packages
    code = "import sys; sys.flags.no_site or sys.exit('site'); import workbook; print(workbook.__version__)"
    environment = os.environ | {"PYTHONPATH": str(tmp_path / "site")}
    found = subprocess.run([sys.executable, "-S", "-c", code], env=environment, capture_output=True, text=True)
    assert found.stdout.strip() == "unknown", found.stderr


def test_an_installed_package_finds_them_and_keeps_data_in_the_user_s_home(installed, tmp_path):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("WORKBOOK_")}
    environment |= {"PYTHONPATH": str(installed), "HOME": str(tmp_path), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", COMMANDS]
    found = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    home = tmp_path / "transferability-workbook"
    places = [str(home), *(str(home / name) for name in ("data", "reports", "store"))]
    assert found.stdout.splitlines()[:1] == [" ".join([VERSION, "False", *places])], found.stderr
    for path in (CHECKOUT / "data_manifests").glob("*.yaml"):
        assert f"\n{path.stem} " in found.stdout
    assert "copied " in found.stdout and "not empty, and nothing is overwritten" in found.stdout
    assert "adopted in a checkout" in found.stdout
    assert (tmp_path / "mine" / "00_start_here.ipynb").is_file() and (tmp_path / "mine" / "networks.svg").is_file()
