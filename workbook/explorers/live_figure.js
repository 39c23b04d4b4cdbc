// A widget's code is given two seconds to start; when it takes longer, anywidget (0.11) drops every later message of
// the kernel, and the figure never changes again. Plotly's five megabytes take longer where a page opens with all its
// widgets at once, as under Voila, on a machine with few cores. So this code starts at once, and loads plotly's when
// the figure is drawn; one page loads it once.

// JupyterLab takes the arrow keys and Ctrl+A for its cells even where a list has the focus, unless the list forbids it
function keepKeys(element) {
  if (!element.isConnected) return setTimeout(() => keepKeys(element), 100);
  let dashboard = element;
  for (let each = element; each; each = each.parentElement)
    if (each.classList.contains("jupyter-widgets")) dashboard = each;
  dashboard.addEventListener("focusin", (event) => event.target.setAttribute("data-lm-suppress-shortcuts", "true"));
}

// What the page's address asks for, once the figure is drawn: what the kernel changes before that is lost to the page
function tellAddress({ model, el }) {
  if (!el.calcdata) return setTimeout(() => tellAddress({ model, el }), 100);
  model.set("_query", location.search);
  model.save_changes();
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
      const remove = (await (plotly ??= load())).render(properties);
      tellAddress(properties);
      return remove;
    },
  };
};
