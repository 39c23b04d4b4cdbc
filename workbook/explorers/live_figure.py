"""A plotly figure on a dashboard: quick to start wherever its page is opened, and the keyboard is the dashboard's."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import plotly
import plotly.graph_objects as go
import traitlets

_PLOTLY = Path(plotly.__file__).parent / "package_data" / "widgetbundle.js"

Properties = Mapping[str, Any]


class LiveFigure(go.FigureWidget):
    """A plotly FigureWidget whose code is loaded when it is drawn: `live_figure.js` says why."""

    _esm = (Path(__file__).parent / "live_figure.js").read_text(encoding="utf-8")
    _plotly = traitlets.Unicode(_PLOTLY.read_text(encoding="utf-8")).tag(sync=True)
    _query = traitlets.Unicode().tag(sync=True)  # of the page's address
    _drawn: tuple[Sequence[Properties], Properties] = ((), {})

    def redraw(self, traces: Sequence[Properties], layout: Properties) -> None:
        """Give every trace and the layout these properties, in one message of what has changed since the last time."""
        before, layout_before = self._drawn
        with self.batch_update():
            for trace, properties, old in zip(self.data, traces, before or [{} for _ in traces], strict=True):
                # a lasso changes what is selected without asking
                trace.update(_changed(properties, old, always="selectedpoints"))
            self.update_layout(_changed(layout, layout_before))
        self._drawn = traces, layout


def _changed(new: Properties, old: Properties, always: str = "") -> dict[str, Any]:
    return {name: value for name, value in new.items() if name == always or not _same(value, old.get(name))}


def _same(new: Any, old: Any) -> bool:
    return np.array_equal(new, old, equal_nan=True) if isinstance(new, np.ndarray) else bool(new == old)
