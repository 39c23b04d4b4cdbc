// A figure of a report: as wide as its place, in the page's ink, told in words, and to be taken away as a file.
const DARK = matchMedia("(prefers-color-scheme: dark)");
const ink = () => getComputedStyle(document.body).color;

async function draw_figure(holder) {
  const figure = JSON.parse(holder.querySelector("script").textContent);
  const layout = Object.assign({}, figure.layout, {autosize: true});
  if (layout.width > holder.clientWidth - 8) delete layout.width;
  const place = document.createElement("div");
  holder.append(place);
  const config = {responsive: true, displaylogo: false, showSendToCloud: false, modeBarButtonsToRemove: ["toImage"]};
  await Plotly.newPlot(place, figure.data, inked(layout, ink()), Object.assign(config, figure.config));
  if (figure.frames) Plotly.addFrames(place, figure.frames);
  describe(place);
  DARK.addEventListener("change", () => Plotly.relayout(place, {"font.color": ink()}));
  const files = Object.assign(document.createElement("div"), {className: "files"});
  for (const format of ["PNG", "SVG", "CSV"]) {
    const what = format === "CSV" ? "data" : "figure";
    const button = Object.assign(document.createElement("button"), {type: "button", textContent: format});
    button.setAttribute("aria-label", `Save the ${what} as ${format}: ${title_of(place)}`);
    button.addEventListener("click", () => save(place, format.toLowerCase()));
    files.append(button);
  }
  holder.append(files);
}

function inked(layout, colour) {
  return Object.assign({}, layout, {font: Object.assign({}, layout.font, {color: colour})});
}

function describe(place) {
  const [picture, ...others] = place.querySelectorAll(".main-svg");
  picture.setAttribute("role", "img");
  picture.setAttribute("aria-label", place.layout.meta?.alt ?? title_of(place));
  for (const other of others) other.setAttribute("aria-hidden", "true");
}

function title_of(place) {
  return words(place.layout.title?.text || "figure");
}

// Names come as plotly's markup: "a &lt; b" is "a < b".
function words(text) {
  if (!/[<&]/.test(text)) return text;
  return new DOMParser().parseFromString(text.replaceAll("<br>", " "), "text/html").body.textContent;
}

async function save(place, format) {
  const {width, height} = place._fullLayout;
  const layout = Object.assign(inked(place.layout, "#1e2328"), {paper_bgcolor: "#fff"});
  const address = format === "csv"
    ? URL.createObjectURL(new Blob([table_of(place)], {type: "text/csv"}))
    : await Plotly.toImage({data: place.data, layout}, {format, width, height, scale: format === "png" ? 2 : 1});
  const download = title_of(place).replace(/[^\p{L}\p{N}]+/gu, "-").slice(0, 80) + "." + format;
  Object.assign(document.createElement("a"), {href: address, download}).click();
}

// The points of a figure that can be pointed at, a row each; columns in which nothing stands are left out.
function table_of(place) {
  const rows = place._fullData.filter(trace => trace.visible === true && trace.hoverinfo !== "skip").flatMap(rows_of);
  const columns = [...new Set(rows.flatMap(Object.keys))].filter(name => rows.some(row => (row[name] ?? "") !== ""));
  const cell = value => /[",\r\n]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value;
  const line = values => values.map(value => cell(words(String(value ?? "")))).join(",");
  return [line(columns), ...rows.map(row => line(columns.map(name => row[name])))].join("\r\n") + "\r\n";

  function rows_of(trace) {
    const axis = letter => (trace[letter + "axis"] ?? letter).replace(letter, letter + "axis");
    const title = letter => place.layout[axis(letter)]?.title?.text ?? "";
    const shared = {name: trace.name, panel: (trace.xaxis ?? "x").slice(1) || "1", across: title("x"), up: title("y")};
    if (trace.type === "heatmap")
      return Array.from(trace.z).flatMap((row, i) => Array.from(row, (z, j) =>
        Object.assign({}, shared, {x: trace.x?.[j] ?? j, y: trace.y?.[i] ?? i, z})));
    return Array.from(trace.x ?? [], (x, i) => Object.assign({}, shared, {x, y: trace.y[i]}, told(trace, i)));
  }

  function told(trace, i) {
    const found = {text: Array.isArray(trace.text) ? trace.text[i] : ""};
    for (const bar of ["error_x", "error_y"])
      if (trace[bar]?.array) Object.assign(found, {minus: trace[bar].arrayminus?.[i], plus: trace[bar].array[i]});
    [trace.customdata?.[i] ?? []].flat().forEach((value, n) => { found[`more ${n + 1}`] = value; });
    return found;
  }
}
