"use strict";
// The metric at the end over two axes, at the best of all others by training loss.

const SETTING = "setting";
const MOST_SQUARES = 400; // with a number in each

/** Fill the two selects with the axes; the rates go across, the settings down. */
function makeAxes() {
  const names = [...new Set(["lr", SETTING, ...run.facets])];
  for (const [id, first] of [["across", "lr"], ["down", SETTING]]) {
    const select = document.getElementById(id);
    select.append(...names.map((name) => new Option(name.replaceAll("_", " "), name, false, name === first)));
  }
}

/** Return the labels of an axis, and where a trial lies on it. */
function axisOf(name, among) {
  if (name !== SETTING || columns.has(SETTING)) {
    const values = distinct(name, among);
    const place = new Map(values.map((value, at) => [value, at]));
    return { labels: values.map((value) => label(name, value)), at: (trial) => place.get(columns.get(name)[trial]) };
  }
  const settings = [...new Set(among.map((trial) => run.setting[trial]))];
  const place = new Map(settings.map((setting, at) => [setting, at]));
  return { labels: settings.map((setting) => run.settings[setting]), at: (trial) => place.get(run.setting[trial]) };
}

function drawHeatmap() {
  const metric = METRICS.get(document.getElementById("metric").value);
  const log = document.getElementById("log").checked;
  const [x, y] = ["across", "down"].map((id) => document.getElementById(id).value);
  const among = chosen();
  const [across, down] = [axisOf(x, among), axisOf(y, among)];
  const squares = down.labels.map(() => across.labels.map(() => undefined));
  for (const group of grouped(among, (trial) => `${down.at(trial)},${across.at(trial)}`).values()) {
    const found = finalSpread(lowest(group), metric.name);
    squares[down.at(group[0])][across.at(group[0])] = found ? found.median : null;
  }
  const said = (name) => name.replaceAll("_", " ");
  const caption = `Median final ${metric.label}, ${said(y)} down, ${said(x)} across, each at the best of what else varies. `
    + `A number says what it is where there is room; grey: diverged, failed${log ? " or not positive" : ""}; blank: no trial.`;
  const texts = squares.map((row) => row.map(squareText));
  const layout = {
    xaxis: { title: { text: literal(said(x)) }, type: "category", automargin: true },
    yaxis: { type: "category", autorange: "reversed", automargin: true },
    plot_bgcolor: "#fff",
  };
  draw("heatmap", heatmapTraces(across, down, squares, texts, log), layout, caption,
    [said(y), ...across.labels], down.labels.map((name, row) => [name, ...texts[row]]));
}

/** Return a square in words: a number, diverged, failed, or nothing where there is no trial. */
function squareText(value) {
  if (value === undefined) return "";
  return value === null ? "failed" : short(value);
}

function heatmapTraces(across, down, squares, texts, log) {
  const visible = (value) => Number.isFinite(value) && (!log || value > 0);
  const shown = squares.flat().filter(visible);
  const places = { x: across.labels.map(literal), y: down.labels.map(literal), xgap: 1, ygap: 1, text: texts };
  const room = across.labels.length * down.labels.length <= MOST_SQUARES;
  const shared = { ...places, type: "heatmap", texttemplate: room ? "%{text}" : "", hovertemplate: "%{y}, %{x}: %{text}<extra></extra>" };
  const lost = squares.map((row) => row.map((value) => (value !== undefined && !visible(value) ? 1 : null)));
  const z = squares.map((row) => row.map((value) => (visible(value) ? (log ? Math.log10(value) : value) : null)));
  const grey = { ...shared, z: lost, colorscale: [[0, "#ccc"], [1, "#ccc"]], showscale: false };
  const colorbar = log && shown.length ? powers(shown) : {};
  return [grey, ...(shown.length ? [{ ...shared, z, colorscale: "Viridis", reversescale: true, colorbar }] : [])];
}

/** Return a colour bar with powers of ten, or with the two ends where there is none between. */
function powers(values) {
  const [low, high] = [Math.min, Math.max].map((end) => Math.log10(values.reduce((a, b) => end(a, b))));
  const whole = [];
  for (let power = Math.ceil(low); power <= high; power += Math.max(1, Math.ceil((high - low) / 8))) whole.push(power);
  const tickvals = whole.length > 1 ? whole : [low, high];
  return { tickvals, ticktext: tickvals.map((power) => short(10 ** power)) };
}
