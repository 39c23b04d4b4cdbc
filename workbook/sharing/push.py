"""A run of the store as a folder, or a repository of the Hugging Face hub, that others open without the store."""

import os
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

from workbook.errors import SharingError, first_line
from workbook.files import told, user_path, without_home, write_atomically
from workbook.models.folders import write_folder
from workbook.pretraining.runs import Run, load_run
from workbook.sharing.card import model_card
from workbook.store import Store

HUB = "hf:"


def push(key: str, to: str, store: Store, *, reports: Iterable[Path] = ()) -> str:
    """Write the last backbone of the run under this key to a new or empty folder, or to "hf:ORG/NAME"; where it is now.

    It goes with its recipe and a card (see `model_card`); reports: folders of records that the card quotes.
    Raises CheckpointError where the store has no such run, SharingError where the place cannot be written.
    """
    run = load_run(key, store)
    if not to.startswith(HUB):
        return str(_to_folder(run, user_path(to), reports))
    with TemporaryDirectory() as folder:
        _write(run, Path(folder), reports)
        return _upload(Path(folder), to.removeprefix(HUB))


def _to_folder(run: Run, folder: Path, reports: Iterable[Path]) -> Path:
    """Made beside its place and then renamed: nobody meets half of it."""
    with told(SharingError, "written", folder):
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise SharingError(f"{folder} is there and not empty, and nothing is overwritten: name another folder")
        folder.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as scratch:
            made = Path(scratch, "model")
            made.mkdir()
            _write(run, made, reports)
            os.replace(made, folder)
    return folder


def _write(run: Run, folder: Path, reports: Iterable[Path]) -> None:
    model = run.backbone()
    write_folder(model, folder, about={"run": run.key, "recipe": without_home(run.artefact.spec["recipe"])})
    write_atomically(folder / "README.md", model_card(run, model, reports))


def _upload(folder: Path, repository: str) -> str:
    from huggingface_hub import HfApi

    api = HfApi(library_name="transferability-workbook")
    try:
        api.create_repo(repository, exist_ok=True)
        api.upload_folder(repo_id=repository, folder_path=folder, commit_message="Add a run")
    except Exception as error:  # no token, no right, no network, no such name: whatever the hub's client makes of it
        raise SharingError(
            f"{HUB}{repository} cannot be written ({first_line(error)}): log in with `hf auth login`, connect to the "
            "network, or name a folder"
        ) from error
    return f"https://huggingface.co/{repository}"
