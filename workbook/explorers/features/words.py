"""What the feature explorer says and shows of a selection: contact sheet, files, neighbours, legend."""

import io
from collections.abc import Sequence

import numpy as np
import pandas as pd
from PIL import Image

from workbook.data.images import fit
from workbook.explorers.features.atlas import Atlas
from workbook.explorers.features.neighbours import Neighbours
from workbook.explorers.features.view import View
from workbook.explorers.page import data_uri, download, html
from workbook.figures.colourings import Colouring
from workbook.figures.linked_maps import GLYPHS

SIDE_WORDS = {"pre": "pre-D", "eval": "eval-D"}
# pixels a side, as the stylesheet has them
_POINTED, _THUMBNAIL = 112, 48
_MOST_ON_SHEET, _IN_A_ROW = 100, 20


def pointed_html(atlas: Atlas, image: int) -> str:
    """The image under the pointer."""
    name = atlas.images.class_names[atlas.images.labels[image]]
    side = SIDE_WORDS.get(atlas.side_of[name], "")
    uri = data_uri(atlas.images[image], _POINTED)
    return html("features/pointed", image=uri, name=name, side=side, number=image)


def sheet_html(atlas: Atlas, rows: np.ndarray, view: View) -> str:
    """The contact sheet of these images, (n,) int, at most a hundred of them, and the links to both files."""
    chosen = _on_sheet(rows, atlas.images.labels)
    title = f"{len(chosen)} of the {len(rows)} selected images" if len(chosen) < len(rows) else "The selected images"
    table = selection(atlas, rows, view).to_csv(index=False)
    sheet = _sheet([atlas.images[image] for image in chosen])
    files = [
        download("all rows as CSV", "selection.csv", table.encode(), "text/csv"),
        download("this sheet as PNG", "selection.png", sheet, "image/png"),
    ]
    return html("features/sheet", pictures=_pictures(atlas, chosen), title=title, files=files)


def selection(atlas: Atlas, rows: np.ndarray, view: View) -> pd.DataFrame:
    """A row an image: its number here and in the source, class, side, drawn factors, and its place on both maps."""
    images, labels = atlas.images, atlas.images.labels[rows]
    names = np.array(images.class_names)[labels]
    table = pd.DataFrame({"image": rows, "source_row": images.rows[rows], "class_name": names})
    table["side"] = table["class_name"].map(atlas.side_of)
    if images.factors is not None:
        drawn = images.factors.iloc[rows].reset_index(drop=True)
        table = table.join(drawn.drop(columns="class_name", errors="ignore"))
    for method in dict.fromkeys(view.methods):
        places = atlas.maps(method, view.seed, view.kind)[view.epoch][rows]
        table[[f"{method}, {view.kind} {axis}" for axis in "xy"]] = places
    return table.assign(seed=view.seed, epoch=view.epoch)


def neighbours_html(atlas: Atlas, image: int, view: View, found: Sequence[Neighbours]) -> str:
    """The nearest images under the left and the right method, those that only one of them has marked."""
    names = np.array(atlas.images.class_names)[atlas.images.labels]
    lists = []
    for method, own, other in zip(view.methods, found, found[::-1], strict=True):
        title = f"{method}: {int((names[own.images] == names[image]).sum())} of {len(own.images)} of its class"
        only = ~np.isin(own.images, other.images)
        lists.append((title, list(zip(_pictures(atlas, own.images), own.cosines, only, strict=True))))
    shared = int(np.isin(found[0].images, found[1].images).sum())
    (asked,) = _pictures(atlas, np.array([image]))
    values = {"image": image, "shared": shared, "count": len(found[0].images), "epoch": view.epoch}
    return html("features/neighbours", asked=asked, lists=lists, **values)


def legend_html(styles: pd.DataFrame, methods: Sequence[str], colourings: Sequence[Colouring]) -> str:
    """styles: of the classes that are shown. colourings: of both panels; without a legend where they say the class."""
    by_side = {SIDE_WORDS.get(str(side), "classes"): of_side for side, of_side in styles.groupby("side", sort=False)}
    if not colourings[0].legend:
        return html("features/legend", sides=by_side, glyphs=GLYPHS)
    of_method = {method: colouring.legend for method, colouring in zip(methods, colourings, strict=True)}
    legends = {"": colourings[0].legend} if colourings[0] == colourings[1] else of_method
    shapes = {side: [GLYPHS[symbol] for symbol in of_side["symbol"].unique()] for side, of_side in by_side.items()}
    return html("features/colours", legends=legends, shapes=shapes)


def _on_sheet(rows: np.ndarray, labels: np.ndarray) -> np.ndarray:
    # evenly over the selection in the order of the classes, so that a class is left out only if it is rare
    ordered = rows[np.argsort(labels[rows], kind="stable")]
    return ordered[np.linspace(0, len(ordered) - 1, min(len(ordered), _MOST_ON_SHEET)).astype(int)]


def _pictures(atlas: Atlas, images: np.ndarray) -> list[tuple[str, str, str]]:
    """Of each: a data URI, what it is called, and the colour of its class."""
    names = np.array(atlas.images.class_names)[atlas.images.labels[images]]
    uris = [data_uri(atlas.images[image], _THUMBNAIL) for image in images]
    return list(zip(uris, names, atlas.styles.loc[names, "colour"], strict=True))


def _sheet(pictures: Sequence[Image.Image]) -> bytes:
    """A PNG with so many in a row."""
    columns = min(len(pictures), _IN_A_ROW)
    sheet = Image.new("RGB", (_THUMBNAIL * columns, _THUMBNAIL * -(-len(pictures) // columns)), "white")
    for number, picture in enumerate(pictures):
        row, column = divmod(number, columns)
        sheet.paste(fit(picture, _THUMBNAIL), (_THUMBNAIL * column, _THUMBNAIL * row))
    buffer = io.BytesIO()
    sheet.save(buffer, format="png")
    return buffer.getvalue()
