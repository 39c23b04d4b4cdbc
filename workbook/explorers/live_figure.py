"""A plotly figure on a dashboard: quick to start wherever its page is opened, and the keyboard is the dashboard's."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import plotly
import plotly.graph_objects as go
import traitlets

# A widget's code is given two seconds to start; when it takes longer, anywidget (0.11) drops every later message of
# the kernel, and the figure never changes again. Plotly's five megabytes take longer where a page opens with all its
# widgets at once, as under Voila, on a machine with few cores. So this code starts at once, and loads plotly's when
# the figure is drawn; one page loads it once.
_STARTER = """
// JupyterLab takes the arrow keys and Ctrl+A for its cells even where a list has the focus, unless the list forbids it
function keepKeys(element) {
  if (!element.isConnected) return setTimeout(() => keepKeys(element), 100);
  let dashboard = element;
  for (let each = element; each; each = each.parentElement)
    if (each.classList.contains("jupyter-widgets")) dashboard = each;
  dashboard.addEventListener("focusin", (event) => event.target.setAttribute("data-lm-suppress-shortcuts", "true"));
}
export default () => {
  let own, plotly;
  async function load() {
    globalThis.workbookPlotly ??= (async () => {
      const url = URL.createObjectURL(new Blob([own.get("_plotly")], { type: "text/javascript" }));
      try { return (await import(url)).default; } finally { URL.revokeObjectURL(url); }
    })();
    const widget = (await globalThis.workbookPlotly)();
    widget.initialize({ model: own });
    return widget;
  }
  return {
    initialize({ model }) { own = model; },
    async render(properties) {
      keepKeys(properties.el);
      return (await (plotly ??= load())).render(properties);
    },
  };
};
"""
_PLOTLY = (Path(plotly.__file__).parent / "package_data" / "widgetbundle.js").read_text(encoding="utf-8")


class LiveFigure(go.FigureWidget):
    """A plotly FigureWidget whose code is loaded when it is drawn."""

    _esm = _STARTER
    _plotly = traitlets.Unicode(_PLOTLY).tag(sync=True)
    _drawn: Sequence[Mapping[str, Any]] = ()

    def redraw(self, traces: Sequence[Mapping[str, Any]], layout: Mapping[str, Any] | None = None) -> None:
        """Give every trace these properties, in one message that holds what has changed since the last time."""
        before = self._drawn or [{} for _ in traces]
        with self.batch_update():
            for trace, properties, old in zip(self.data, traces, before, strict=True):
                # a lasso changes what is selected without asking
                trace.update({k: v for k, v in properties.items() if k == "selectedpoints" or not _same(v, old.get(k))})
            self.update_layout(layout or {})
        self._drawn = traces


def _same(new: Any, old: Any) -> bool:
    return np.array_equal(new, old) if isinstance(new, np.ndarray) else bool(new == old)
