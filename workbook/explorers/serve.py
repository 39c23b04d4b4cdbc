"""An explorer as a page of its own, served by Voila on this machine alone."""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode
from papermill.iorw import load_notebook_node
from papermill.parameterize import parameterize_notebook
from traitlets.config import Config
from voila.app import Voila

from workbook.errors import ReportError, known_names
from workbook.files import shipped

# what a dashboard needs of JupyterLab's extensions; others would be loaded before it is drawn
_EXTENSIONS = ["@jupyter-widgets/jupyterlab-manager", "@voila-dashboards/widgets-manager8", "anywidget"]
# The page is made before it is asked for, and the next one, for a second tab, once this one is drawn
_AHEAD = {"preheat_kernel": True, "default_pool_size": 1}
_NEXT = 20.0  # seconds
# of an error its message, which says what to do next, and not the way through the code
_MESSAGE_ALONE = 'get_ipython().InteractiveTB.set_mode("Minimal")'


class ExplorerPage(Voila):
    """Voila with the template beside this module in front of its own."""

    def setup_template_dirs(self) -> None:
        super().setup_template_dirs()
        self.template_paths.insert(0, str(Path(__file__).parent))


def serve(name: str, parameters: Mapping[str, Any], arguments: Sequence[str] = ()) -> None:
    """Serve `notebooks/NAME.ipynb` with these parameters until it is interrupted.

    Only this machine can reach it, with a token that Voila prints. arguments: more of Voila's, such as "--port=8900".
    Raises ReportError for a name that is no explorer's.
    """
    explorers = {path.stem: path for path in sorted(shipped("notebooks").glob("explore_*.ipynb"))}
    if name not in explorers:
        raise ReportError(f"there is no explorer {name!r}{known_names(name, explorers)}")
    choices = {"show_tracebacks": True, "extension_allowlist": _EXTENSIONS} | _AHEAD
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"{name}.ipynb")
        nbformat.write(dashboard(explorers[name], parameters), path)
        config = Config(VoilaConfiguration=choices, VoilaKernelManager={"fill_delay": _NEXT})
        here = ["--Voila.ip=127.0.0.1", f"--Voila.root_dir={folder}", "--token"]
        ExplorerPage.launch_instance([str(path), *here, *arguments], config=config)


def dashboard(notebook: Path, parameters: Mapping[str, Any]) -> NotebookNode:
    """Its title, and what its last cell shows; nothing is computed that only the executed report shows.

    Cells tagged "report" are left out. What is left of the code is one cell, of which the last expression is shown.
    """
    filled = parameterize_notebook(load_notebook_node(str(notebook)), dict(parameters))
    title = filled.cells[0].source.splitlines()[0]
    code = [cell.source for cell in filled.cells if cell.cell_type == "code" and "report" not in cell.metadata.tags]
    filled.cells = [nbformat.v4.new_markdown_cell(title), nbformat.v4.new_code_cell("\n".join([_MESSAGE_ALONE, *code]))]
    return filled
