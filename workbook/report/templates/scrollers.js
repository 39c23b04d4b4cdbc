// What is wider than its place can be reached by the Tab key, and scrolled by the arrows.
const SCROLLERS = [[".highlight, .jp-RenderedMarkdown pre", "Code"], [".plotly-figure", "Figure"], ["math", "Formula"],
                   [".jp-OutputArea-output, .jp-RenderedMarkdown", "Table"]];
const sized = new ResizeObserver(entries => {
  for (const {target} of entries) {
    const [, what] = SCROLLERS.find(([selector]) => target.matches(selector));
    if (target.scrollWidth > target.clientWidth + 1) {
      target.tabIndex = 0;
      target.setAttribute("role", "group");
      target.setAttribute("aria-label", `${what}, wider than the page`);
    } else for (const name of ["tabindex", "role", "aria-label"]) target.removeAttribute(name);
  }
});
for (const [selector] of SCROLLERS) document.querySelectorAll(selector).forEach(place => sized.observe(place));
