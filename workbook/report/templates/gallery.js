// The index: figures are drawn when they come into sight, and the others in idle moments, so that a print has them all.
const WIDTH = 690, LEAST = 460, MOST = 800;
let plotly = null;

function load_plotly() {
  return plotly ||= window.Plotly ? Promise.resolve() : new Promise((resolve, reject) => {
    const script = document.createElement("script");
    Object.assign(script, {src: PLOTLY, onload: resolve, onerror: reject});
    document.head.append(script);
  });
}

async function draw_card(holder) {
  const {data, layout} = JSON.parse(holder.querySelector("script").textContent);
  const place = document.createElement("div");
  holder.append(place);
  const height = Math.min(Math.max(layout.height ?? 0, LEAST), MOST);
  const fit = () => {
    const scale = Math.min(holder.clientWidth / WIDTH, holder.clientHeight / height);
    place.style.transform = `translateX(${(holder.clientWidth - scale * WIDTH) / 2}px) scale(${scale})`;
  };
  fit();
  new ResizeObserver(fit).observe(holder);
  for (const bar of layout.sliders || []) bar.visible = false;
  for (const menu of layout.updatemenus || []) menu.visible = false;
  Object.assign(layout, {title: null, width: WIDTH, height, autosize: false});
  layout.margin = Object.assign({}, layout.margin, {t: Math.min(layout.margin?.t ?? 80, 80)});
  await Plotly.newPlot(place, data, inked(layout, ink()), {staticPlot: true});
  DARK.addEventListener("change", () => Plotly.relayout(place, {"font.color": ink()}));
}

const waiting = new Set(document.querySelectorAll(".figure, .plotly-figure"));

async function draw_once(holder) {
  if (!waiting.delete(holder)) return;
  in_sight.unobserve(holder);
  await load_plotly();
  await (holder.matches(".figure") ? draw_card : draw_figure)(holder);
  holder.classList.add("drawn");
}

const in_sight = new IntersectionObserver(entries => {
  for (const {isIntersecting, target} of entries) if (isIntersecting) draw_once(target);
}, {rootMargin: "200px"});
waiting.forEach(holder => in_sight.observe(holder));

function draw_next() {
  const [holder] = waiting;
  if (holder) draw_once(holder).then(() => requestIdleCallback(draw_next, {timeout: 500}));
}
addEventListener("load", () => requestIdleCallback(draw_next, {timeout: 500}));
