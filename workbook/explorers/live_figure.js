// A widget's code is given two seconds to start; when it takes longer, anywidget (0.11) drops every later message of
// the kernel, and the figure never changes again. Plotly's five megabytes take longer where a page opens with all its
// widgets at once, as under Voila, on a machine with few cores. So this code starts at once, and loads plotly's when
// the figure is drawn; one page loads it once.

// JupyterLab takes the arrow keys and Ctrl+A for its cells even where a list has the focus, unless the list forbids it
function makeAccessible(element) {
  if (!element.isConnected) return setTimeout(() => makeAccessible(element), 100);
  let dashboard = element;
  for (let each = element; each; each = each.parentElement)
    if (each.classList.contains("jupyter-widgets")) dashboard = each;
  dashboard.addEventListener("focusin", (event) => event.target.setAttribute("data-lm-suppress-shortcuts", "true"));
  new MutationObserver(() => nameControls(dashboard)).observe(dashboard, { childList: true, subtree: true });
  nameControls(dashboard);
}

// What ipywidgets leaves without a name, for readers that say aloud what has the focus
function nameControls(dashboard) {
  const name = (selector, told) => {
    const nameless = dashboard.querySelectorAll(`${selector}:not([aria-label])`);
    for (const each of nameless) each.setAttribute("aria-label", told(each));
  };
  name(".noUi-handle", (handle) => handle.closest(".jupyter-widgets").querySelector(".widget-label").textContent);
  name(".widget-play button", (button) => (button.querySelector(".fa-stop") ? "Back to the first" : "Play or pause"));
  name(".widget-select-multiple select", (list) => list.title || list.labels[0].textContent);
}

// Once the figure is drawn it says in words what it shows, and the kernel hears what the page's address asks for: what it
// changes before that is lost to the page
function drawn({ model, el }) {
  if (!el.calcdata) return setTimeout(() => drawn({ model, el }), 100);
  el.setAttribute("role", "group");
  el.setAttribute("aria-label", el.layout.meta.alt);
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
      makeAccessible(properties.el);
      const remove = (await (plotly ??= load())).render(properties);
      drawn(properties);
      return remove;
    },
  };
};
