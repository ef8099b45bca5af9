"use strict";
// The views of the page: what each makes once, draws anew, and how the page draws a chart for it.

const views = [];

/**
 * Add a view: {make, draw, choose}, each if the view needs it.
 *
 * `make` is called once, `draw` when the trials, the metric or its axis are chosen anew, and
 * `choose` when the trials are.
 */
function addView(view) {
  views.push(view);
}

/** Call a function when one of the controls changes. */
function listen(ids, drawn) {
  for (const id of ids) document.getElementById(id).addEventListener("change", drawn);
}

/** Draw a chart of lines: a median at each x, and the quartiles where they differ from it. */
function drawLines(id, chart) {
  const lines = chart.panels.flatMap(({ lines: some }) => some);
  const order = new Map([...new Set(lines.map(({ name }) => name))].map((name, place) => [name, place]));
  const legend = [...order].map(([name, place]) => ({ key: name, name, color: color(place), dash: dash(place), symbol: mark(place) }));
  const panels = chart.panels.map(({ title, lines: some }) => ({ title, layers: some.flatMap((line) => lineLayers(line, order.get(line.name))) }));
  const rows = lines.flatMap(({ name, points }) => points.map((point) => [name, ...point.map((value) => short(number(value)))]));
  const axes = { x: { title: chart.x, log: chart.log_x }, y: { title: chart.y, log: chart.log_y } };
  draw(id, { panels, legend, ...axes }, chart.caption, ["line", chart.x, "median", "first quartile", "third quartile"], rows);
}

function lineLayers({ name, diverged, points }, place) {
  const [x, y, low, high] = [0, 1, 2, 3].map((part) => points.map((point) => number(point[part])));
  const shared = { x, name, key: name, color: color(place), wild: diverged };
  const say = (at) => `${short(x[at])}: ${short(y[at])}`;
  const band = low.some((value, at) => value < high[at]) ? [{ ...shared, kind: "band", low, high }] : [];
  return [...band, { ...shared, kind: "line", y, dash: dash(place) }, { ...shared, kind: "points", y, symbol: mark(place), size: 4, say }];
}

for (const [id, chart] of Object.entries(run.charts)) addView({ make: () => drawLines(id, chart) });
