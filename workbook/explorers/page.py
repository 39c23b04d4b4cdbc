"""What both explorers are built of: their stylesheet, words and images as HTML, rows of widgets, a slider."""

import base64
import io
from pathlib import Path
from typing import Any

import ipywidgets as widgets
import jinja2
from PIL import Image

from workbook.data.images import fit

_HERE = Path(__file__).parent
_TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(_HERE), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
)


def stylesheet() -> widgets.HTML:
    """Of everything within a widget of the class "explorer"."""
    return widgets.HTML(f"<style>{(_HERE / 'explorers.css').read_text(encoding='utf-8')}</style>")


def html(template: str, **values: Any) -> str:
    """A template of this folder, such as "features/legend", with these values."""
    return _TEMPLATES.get_template(f"{template}.html").render(values)


def data_uri(image: Image.Image, side: int) -> str:
    """The centre square of the image as a PNG within the page, which shows it with `side` pixels a side.

    What is at most half as large stays as it is: its pixels are squares on the page.
    """
    buffer, own = io.BytesIO(), min(image.size)
    fit(image, own if 2 * own <= side else side).save(buffer, format="png")
    return _uri(buffer.getvalue(), "image/png")


def download(words: str, name: str, content: bytes, kind: str) -> str:
    """A link that saves `content` as the file `name`. kind: its media type, such as "text/csv"."""
    return html("download", words=words, name=name, uri=_uri(content, kind))


def _uri(content: bytes, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def row(*children: widgets.Widget, **layout: str) -> widgets.HBox:
    """Widgets side by side, as many as the page is wide."""
    return widgets.HBox(children, layout={"flex_flow": "row wrap"} | layout)


def player(slider: widgets.SelectionSlider, **how: Any) -> widgets.Play:
    """A button that goes through the options of a slider."""
    last = len(slider.options) - 1
    play = widgets.Play(min=0, max=last, value=slider.index, interval=900, show_repeat=False, **how)
    widgets.jslink((play, "value"), (slider, "index"))
    return play
