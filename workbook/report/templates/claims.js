(() => {
// Filters: their state lies in the address, so that a choice can be bookmarked and linked.
const root = document.currentScript?.closest(".claims") ?? [...document.querySelectorAll(".workbook.claims")].at(-1);
const buttons = [...root.querySelectorAll("button[data-filter]")];
const claims = [...root.querySelectorAll(".claim")];
const FILTERS = ["paper", "verdict", "profile"];
const address_is_ours = !("jpThemeName" in document.body.dataset);  // that of JupyterLab is not

function chosen(filter) {
  return new Set(buttons.filter(b => b.dataset.filter === filter && b.getAttribute("aria-pressed") === "true").map(b => b.dataset.value));
}

function apply() {
  const [papers, verdicts, profiles] = FILTERS.map(chosen);
  const takes = (set, value) => !set.size || set.has(value);
  let shown = 0;
  for (const claim of claims) {
    let found = false;
    for (const finding of claim.querySelectorAll(".finding")) {
      finding.hidden = !takes(profiles, finding.dataset.profile);
      found ||= !finding.hidden && takes(verdicts, finding.dataset.verdict);
    }
    claim.hidden = !(found && takes(papers, claim.dataset.paper));
    shown += !claim.hidden;
  }
  for (const topic of root.querySelectorAll(".topic"))
    topic.hidden = !topic.querySelector(".claim:not([hidden])");
  root.querySelector(".shown").textContent = `${shown} of ${claims.length} claims`;
}

function choose(pressed) {
  for (const button of buttons) button.setAttribute("aria-pressed", pressed(button));
  apply();
}

function write_address() {
  if (!address_is_ours) return;
  const parts = FILTERS.map(filter => [filter, [...chosen(filter)].map(encodeURIComponent).join(",")]);
  const hash = parts.filter(([, values]) => values).map(([filter, values]) => `${filter}=${values}`).join("&");
  history.replaceState(null, "", hash ? `#${hash}` : location.pathname + location.search);
}

function follow_address() {
  const is_filter = location.hash.includes("=");
  if (location.hash && !is_filter) return apply();  // a place in the page
  const given = new Map(location.hash.slice(1).split("&").map(part => part.split("=")));
  choose(button => (given.get(button.dataset.filter) || "").split(",").map(decodeURIComponent).includes(button.dataset.value));
  if (is_filter) root.scrollIntoView();
}

// One stop of the Tab key for the whole bar; arrow keys move inside it, Escape clears.
buttons.forEach((button, number) => {
  button.tabIndex = number ? -1 : 0;
  button.addEventListener("click", () => {
    choose(other => (other.getAttribute("aria-pressed") === "true") !== (other === button));
    write_address();
  });
  button.addEventListener("focus", () => buttons.forEach(other => { other.tabIndex = other === button ? 0 : -1; }));
});
root.querySelector(".filters").addEventListener("keydown", event => {
  const last = buttons.length - 1, at = buttons.indexOf(document.activeElement);
  const to = {ArrowRight: at < last ? at + 1 : 0, ArrowLeft: at > 0 ? at - 1 : last, Home: 0, End: last}[event.key];
  if (to !== undefined) buttons[to].focus();
  else if (event.key === "Escape") {
    choose(() => false);
    write_address();
  } else return;
  event.preventDefault();
  event.stopPropagation();
});
if (address_is_ours) {
  window.addEventListener("hashchange", follow_address);
  follow_address();
} else apply();
})();
