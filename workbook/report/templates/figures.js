// A figure of a report: as wide as its place.
async function draw_figure(holder) {
  const figure = JSON.parse(holder.querySelector("script").textContent);
  const layout = Object.assign({}, figure.layout, {autosize: true});
  if (layout.width > holder.clientWidth - 8) delete layout.width;
  const place = document.createElement("div");
  holder.append(place);
  const config = Object.assign({responsive: true, displaylogo: false, showSendToCloud: false}, figure.config);
  await Plotly.newPlot(place, figure.data, layout, config);
  if (figure.frames) Plotly.addFrames(place, figure.frames);
}
