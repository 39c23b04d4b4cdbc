"""What is computed of an atlas for its explorer: readings, answers of a probe, colours, words."""

from functools import lru_cache

import numpy as np

from workbook.data.factors import PERIODS
from workbook.errors import WorkbookError
from workbook.explorers.features.atlas import Atlas
from workbook.explorers.features.controls import CLASS, PROBE, SIDE
from workbook.explorers.features.neighbours import nearest
from workbook.explorers.features.readings import Reading, readings
from workbook.explorers.features.view import View
from workbook.explorers.features.words import neighbours_html, sheet_html
from workbook.explorers.page import html
from workbook.figures.colourings import Colouring, by_answer, by_class, by_number, by_side
from workbook.probes.knn import loo_knn_right

_MOST_VOTES = 20  # of the probe's neighbours


class Measured:
    """Of one atlas; what was computed is remembered, for the way back to an epoch, or where one method changed."""

    def __init__(self, atlas: Atlas) -> None:
        self.atlas, self.labels = atlas, atlas.images.labels
        self.sides = np.array([atlas.side_of[name] for name in atlas.images.class_names])
        self._readings = lru_cache(maxsize=256)(self._read)
        self._answers = lru_cache(maxsize=64)(self._answered)

    def readings(self, rows: np.ndarray, view: View) -> list[list[Reading]]:
        """The measures of these images on the real features, of the left and the right method."""
        return [self._readings(method, view.seed, view.epoch, rows.tobytes()) for method in view.methods]

    def colourings(self, by: str, view: View) -> list[Colouring]:
        """The colours of all images in the left and the right panel."""
        if by == PROBE:
            return [by_answer(self._answers(method, view.seed, view.epoch)) for method in view.methods]
        if by == CLASS:
            colours = self.atlas.styles["colour"].to_numpy()
            return [by_class(colours[self.labels])] * 2
        if by == SIDE:
            return [by_side(self.sides[self.labels])] * 2
        return [by_number(self.atlas.factors[by].to_numpy(float), period=PERIODS.get(by))] * 2

    def told(self, rows: np.ndarray, view: View, selected: bool, image: int | None) -> tuple[str, str, str]:
        """As HTML: the readings of `rows`; their contact sheet, where they are selected; the neighbours of `image`."""
        classes = len(np.unique(self.labels[rows]))
        title = f"{'Selected' if selected else 'All images shown'}: {len(rows)} images of "
        title += f"{classes} class{'es' * (classes != 1)}, epoch {view.epoch}"
        try:
            rows_of_table = list(zip(*self.readings(rows, view), strict=True))
            table = html("features/readings", rows=rows_of_table, methods=view.methods, title=title)
            sheet = sheet_html(self.atlas, rows, view) if selected and len(rows) else ""
            return table, sheet, "" if image is None else self._neighbours(image, view)
        except WorkbookError as error:  # an image that cannot be read, features that are not what was stored
            return html("features/line", text=str(error)), "", ""

    def _read(self, method: str, seed: int, epoch: int, rows: bytes) -> list[Reading]:
        features = self.atlas.features(method, seed, epoch)
        return readings(features, self.labels, self.sides, np.frombuffer(rows, dtype=np.int64))

    def _answered(self, method: str, seed: int, epoch: int) -> np.ndarray:
        votes = min(_MOST_VOTES, len(self.labels) - 1)
        return loo_knn_right(self.atlas.features(method, seed, epoch), self.labels, k=votes)

    def _neighbours(self, image: int, view: View) -> str:
        found = [nearest(self.atlas.features(method, view.seed, view.epoch), image) for method in view.methods]
        return neighbours_html(self.atlas, image, view, found)
