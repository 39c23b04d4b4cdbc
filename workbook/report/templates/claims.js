(() => {
// Filters, search and order: their state lies in the address, so that a choice can be bookmarked and linked.
const root = document.currentScript?.closest(".claims") ?? [...document.querySelectorAll(".workbook.claims")].at(-1);
const buttons = [...root.querySelectorAll("button[data-filter]")];
const claims = [...root.querySelectorAll(".claim")];
const topics = [...root.querySelectorAll(".topic")];
const [search, order, bar] = ["input", "select", "[role=toolbar]"].map(selector => root.querySelector(selector));
const FILTERS = ["paper", "verdict", "profile"];
const address_is_ours = !("jpThemeName" in document.body.dataset);  // that of JupyterLab is not

function chosen(filter) {
  return new Set(buttons.filter(b => b.dataset.filter === filter && b.getAttribute("aria-pressed") === "true").map(b => b.dataset.value));
}

const findings_of = claim => [...claim.querySelectorAll(".finding")];
const strongest = claim => claim.querySelector(".finding").dataset;  // it stands first

// Of a claim counts what the chosen profiles found; without a choice the strongest evidence.
function apply() {
  const [papers, verdicts, profiles] = FILTERS.map(chosen);
  const takes = (set, value) => !set.size || set.has(value);
  const words = search.value.toLowerCase().split(/\s+/);
  let shown = 0;
  for (const claim of claims) {
    const findings = findings_of(claim);
    for (const finding of findings) finding.hidden = !takes(profiles, finding.dataset.profile);
    const counted = profiles.size ? findings.filter(finding => !finding.hidden) : findings.slice(0, 1);
    const text = [claim.id, claim.textContent, claim.dataset.topic, claim.dataset.notebooks].join(" ").toLowerCase();
    claim.hidden = !(takes(papers, claim.dataset.paper) && counted.some(finding => takes(verdicts, finding.dataset.verdict))
      && words.every(word => text.includes(word)));
    shown += !claim.hidden;
  }
  for (const topic of root.querySelectorAll(".topic"))
    topic.hidden = !topic.querySelector(".claim:not([hidden])");
  root.querySelector(".shown").textContent = `${shown} of ${claims.length} claims`;
}

// By topic the list is as it came; else a part for each paper, outcome or unit, in which the largest effect stands first.
function arrange() {
  root.querySelectorAll(".topic").forEach(part => part.remove());
  if (order.value === "topic") {
    claims.forEach(claim => topics.find(topic => topic.dataset.topic === claim.dataset.topic).append(claim));
    return root.append(...topics);
  }
  const outcomes = buttons.filter(b => b.dataset.filter === "verdict").map(b => b.dataset.value);
  const group = {paper: c => `Paper ${c.dataset.paper}`, verdict: c => strongest(c).verdict,
                 effect: c => `Effect in ${c.dataset.unit || "its own scale"}`}[order.value];
  const effect = claim => Number(strongest(claim).measured ?? -Infinity);
  const rank = name => order.value === "verdict" ? outcomes.indexOf(name) : 0;
  const names = [...new Set(claims.map(group))].sort((one, other) => rank(one) - rank(other));
  for (const name of names) {
    const part = Object.assign(document.createElement("section"), {className: "topic"});
    part.append(Object.assign(document.createElement("h3"), {textContent: name}));
    const own = claims.filter(claim => group(claim) === name);
    if (order.value !== "paper") own.sort((one, other) => effect(other) - effect(one) || 0);
    part.append(...own);
    root.append(part);
  }
}

function save_csv() {
  const columns = ["claim", "paper", "place", "topic", "statement", "number", "unit", "profile", "verdict", "measured", "low", "high", "counted"];
  const rows = [...root.querySelectorAll(".claim:not([hidden])")].flatMap(claim => findings_of(claim).filter(f => !f.hidden).map(finding =>
    ({...claim.dataset, ...finding.dataset, claim: claim.id, statement: claim.querySelector(".statement").textContent})));
  const cell = (value = "") => /[",\r\n]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value;
  const text = [columns, ...rows.map(row => columns.map(name => row[name]))].map(line => line.map(cell).join(",") + "\r\n").join("");
  const href = URL.createObjectURL(new Blob([text], {type: "text/csv"}));
  Object.assign(document.createElement("a"), {href, download: "claims.csv"}).click();
}

function choose(pressed) {
  for (const button of buttons) button.setAttribute("aria-pressed", pressed(button));
  apply();
}

function write_address() {
  if (!address_is_ours) return;
  const parts = FILTERS.map(filter => [filter, [...chosen(filter)].map(encodeURIComponent).join(",")]);
  parts.push(["search", encodeURIComponent(search.value)], ["sort", order.value === "topic" ? "" : order.value]);
  const hash = parts.filter(([, values]) => values).map(([filter, values]) => `${filter}=${values}`).join("&");
  history.replaceState(null, "", hash ? `#${hash}` : location.pathname + location.search);
}

function follow_address() {
  const is_filter = location.hash.includes("=");
  if (location.hash && !is_filter) return apply();  // a place in the page
  const given = new Map(location.hash.slice(1).split("&").map(part => part.split("=")));
  search.value = decodeURIComponent(given.get("search") || "");
  order.value = given.get("sort") || "topic";
  arrange();
  choose(button => (given.get(button.dataset.filter) || "").split(",").map(decodeURIComponent).includes(button.dataset.value));
  if (is_filter) root.scrollIntoView();
}

search.addEventListener("input", () => { apply(); write_address(); });
order.addEventListener("change", () => { arrange(); apply(); write_address(); });
root.querySelector(".csv").addEventListener("click", save_csv);

// One stop of the Tab key for the whole bar; arrow keys move inside it, Escape clears.
buttons.forEach((button, number) => {
  button.tabIndex = number ? -1 : 0;
  button.addEventListener("click", () => {
    choose(other => (other.getAttribute("aria-pressed") === "true") !== (other === button));
    write_address();
  });
  button.addEventListener("focus", () => buttons.forEach(other => { other.tabIndex = other === button ? 0 : -1; }));
});
bar.addEventListener("keydown", event => {
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
