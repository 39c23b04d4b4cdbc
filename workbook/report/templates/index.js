// Filters: their state lies in the address, so that a choice can be bookmarked and linked.
const buttons = [...document.querySelectorAll("button[data-filter]")];
const claims = [...document.querySelectorAll(".claim")];

function chosen(filter) {
  return new Set(buttons.filter(b => b.dataset.filter === filter && b.getAttribute("aria-pressed") === "true").map(b => b.dataset.value));
}

function apply() {
  const [papers, verdicts, profiles] = ["paper", "verdict", "profile"].map(chosen);
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
  for (const topic of document.querySelectorAll(".topic"))
    topic.hidden = !topic.querySelector(".claim:not([hidden])");
  document.getElementById("shown").textContent = `${shown} of ${claims.length} claims`;
}

function write_address() {
  const parts = ["paper", "verdict", "profile"].map(filter => [filter, [...chosen(filter)].map(encodeURIComponent).join(",")]);
  const hash = parts.filter(([, values]) => values).map(([filter, values]) => `${filter}=${values}`).join("&");
  history.replaceState(null, "", hash ? `#${hash}` : location.pathname + location.search);
}

function read_address() {
  if (location.hash && !location.hash.includes("=")) return;  // a place in the page
  const given = new Map(location.hash.slice(1).split("&").map(part => part.split("=")));
  for (const button of buttons) {
    const values = (given.get(button.dataset.filter) || "").split(",").map(decodeURIComponent);
    button.setAttribute("aria-pressed", values.includes(button.dataset.value));
  }
  apply();
}

// One stop of the Tab key for the whole bar; arrow keys move inside it, Escape clears.
function make_keyboard_bar(bar) {
  buttons.forEach((button, number) => {
    button.tabIndex = number ? -1 : 0;
    button.addEventListener("click", () => {
      button.setAttribute("aria-pressed", button.getAttribute("aria-pressed") !== "true");
      apply();
      write_address();
    });
    button.addEventListener("focus", () => buttons.forEach(other => { other.tabIndex = other === button ? 0 : -1; }));
  });
  bar.addEventListener("keydown", event => {
    const last = buttons.length - 1, at = buttons.indexOf(document.activeElement);
    const to = {ArrowRight: at < last ? at + 1 : 0, ArrowLeft: at > 0 ? at - 1 : last, Home: 0, End: last}[event.key];
    if (to !== undefined) buttons[to].focus();
    else if (event.key === "Escape") {
      buttons.forEach(button => button.setAttribute("aria-pressed", false));
      apply();
      write_address();
    } else return;
    event.preventDefault();
  });
}

if (claims.length) {
  make_keyboard_bar(document.querySelector(".filters"));
  const follow_address = () => {
    read_address();
    if (location.hash.includes("=")) document.getElementById("claims").scrollIntoView();
  };
  window.addEventListener("hashchange", follow_address);
  follow_address();
}

// The gallery: plotly.js is loaded when the first figure comes into sight, and each is drawn when it does.
const WIDTH = 690, HEIGHT = 460;
let plotly = null;

function load_plotly() {
  return plotly ||= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    Object.assign(script, {src: PLOTLY, onload: resolve, onerror: reject});
    document.head.append(script);
  });
}

async function draw(holder) {
  const {data, layout} = JSON.parse(holder.querySelector("script").textContent);
  const place = document.createElement("div");
  holder.append(place);
  const fit = () => { place.style.transform = `scale(${holder.clientWidth / WIDTH})`; };
  fit();
  new ResizeObserver(fit).observe(holder);
  await load_plotly();
  for (const bar of layout.sliders || []) bar.visible = false;
  for (const menu of layout.updatemenus || []) menu.visible = false;
  Object.assign(layout, {title: null, width: WIDTH, height: HEIGHT, autosize: false});
  layout.margin = Object.assign({}, layout.margin, {t: Math.min(layout.margin?.t ?? 80, 80)});
  await Plotly.newPlot(place, data, layout, {staticPlot: true});
  holder.classList.add("drawn");
}

const in_sight = new IntersectionObserver(entries => {
  for (const entry of entries)
    if (entry.isIntersecting) {
      in_sight.unobserve(entry.target);
      draw(entry.target);
    }
}, {rootMargin: "200px"});
document.querySelectorAll(".figure").forEach(holder => in_sight.observe(holder));
