"""Progress of long work: a bar in the notebook or the terminal, or lines in the file of an unattended report."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tqdm import tqdm
from tqdm.auto import tqdm as tqdm_auto


@contextmanager
def progress_bar(title: str, total: int, *, done: int = 0, unit: str = "images", shown: bool = True) -> Iterator[tqdm]:
    """A bar over `total` units of work, `done` of them before now; shows the rate and the time left.

    WORKBOOK_PROGRESS names a file that takes the lines instead: an executed report keeps no half-drawn bars.
    """
    choices = {"desc": title, "total": total, "initial": done, "unit": f" {unit}", "disable": not shown}
    target = os.environ.get("WORKBOOK_PROGRESS")
    if target is None:
        with tqdm_auto(**choices, unit_scale=True, leave=False) as bar:
            yield bar
        return
    with (
        Path(target).open("a") as file,
        tqdm(**choices, unit_scale=True, file=file, mininterval=1.0, ncols=100) as bar,
    ):
        yield bar
