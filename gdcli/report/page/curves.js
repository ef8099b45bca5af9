"use strict";
// A metric over the epochs, a line for each setting and learning rate, or for each trial.

const MOST_SAID = 6; // lines, in the caption

function drawCurves() {
  const metric = METRICS.get(document.getElementById("metric").value);
  const log = document.getElementById("log").checked;
  const { lines, total } = curveLines(metric.name);
  const top = topOf(lines);
  const { axis, hidden } = valueAxis(metric.label, lines, log);
  const traces = lines.flatMap((line) => curveTraces(line, top, log));
  const cut = lines.length < total ? `${lines.length} of ${total} lines, those with the lowest losses` : counted(total, "line");
  const lost = lines.filter((line) => line.points.some((point) => leaves(point, top)));
  const rows = lines.map(curveRow);
  const said = rows.slice(0, MOST_SAID).map(([name, start, , end]) => ` ${name}: from ${start} to ${end}.`);
  const caption = capital(`${metric.label} over the epochs: ${cut}.`)
    + (lost.length ? ` An x: diverged, or left the chart (${lost.length}).` : "")
    + hiddenNote(hidden)
    + said.join("");
  const layout = { xaxis: { title: { text: "epoch" } }, yaxis: axis };
  draw("curves", traces, layout, caption, ["line", "at the start", "lowest", "at the end", "last epoch", "trials"], rows);
}

/** Return a line in numbers: where it starts, its lowest, where it ends. */
function curveRow({ name, points }) {
  const [first, last] = [points[0], points[points.length - 1]];
  const least = points.reduce((low, point) => Math.min(low, point.median), Infinity);
  return [name, ...[first.median, least, last.median].map(short), last.x, first.count];
}

/** Return the lines with the lowest training losses at the end, and how many there are in all. */
function curveLines(metric) {
  const single = document.getElementById("lines").value === "trial";
  const groups = [];
  for (const [setting, members] of grouped(chosen(), (trial) => run.setting[trial])) {
    const shown = document.getElementById("best-only").checked ? lowest(members) : members;
    const key = single ? (trial) => trial : (trial) => columns.get("lr")[trial];
    let order = 0;
    for (const group of grouped(shown, key).values()) groups.push({ setting, group, order: order++ });
  }
  const loss = new Map(groups.map((one) => [one, finalSpread(one.group, "train_loss")?.median ?? Infinity]));
  groups.sort((a, b) => (loss.get(a) === loss.get(b) ? 0 : loss.get(a) - loss.get(b)));
  const drawn = groups.filter(({ group }) => group.some((trial) => run.epochs[trial] !== null));
  const lines = drawn.slice(0, MOST_LINES).map((one) => ({
    name: lineName(one.setting, one.group[0], single),
    setting: one.setting,
    order: one.order,
    diverged: loss.get(one) === Infinity,
    points: band(one.group, metric),
  }));
  return { lines, total: drawn.length };
}

function lineName(setting, trial, single) {
  const seed = single ? ` seed ${columns.get("seed")[trial]}` : "";
  return `${run.settings[setting]} lr ${label("lr", columns.get("lr")[trial])}${seed}`;
}

/** Return whether a point is above the chart, or not finite. */
function leaves(point, top) {
  return !Number.isFinite(point.median) || point.median > top;
}

/** Return what Plotly draws of a line: its quartiles, the line, and a cross where it leaves. */
function curveTraces(line, top, log) {
  const out = line.points.findIndex((point) => leaves(point, top));
  const inside = (out < 0 ? line.points : line.points.slice(0, out)).filter((point) => !log || point.median > 0);
  const name = literal(line.name);
  const dash = DASHES[(line.setting + line.order) % DASHES.length];
  const shared = { x: inside.map((point) => point.x), legendgroup: name, mode: "lines" };
  const edge = { ...shared, line: { width: 0 }, hoverinfo: "skip", showlegend: false };
  const within = (value) => Math.min(value, top);
  const traces = [];
  if (inside.some((point) => point.low < point.high)) {
    const low = inside.map((point) => (log && point.low <= 0 ? point.median : within(point.low)));
    traces.push({ ...edge, y: low });
    traces.push({ ...edge, y: inside.map((point) => within(point.high)), fill: "tonexty", fillcolor: color(line.setting, 0.2) });
  }
  traces.push({
    ...shared,
    y: inside.map((point) => point.median),
    mode: inside.length > 1 ? "lines" : "markers",
    name,
    line: { color: color(line.setting), dash },
    hovertemplate: "epoch %{x}: %{y:.5g}",
  });
  if (out >= 0) {
    const mark = { symbol: "x", size: 9, color: color(line.setting) };
    traces.push({ ...shared, x: [line.points[out].x], y: [top], mode: "markers", marker: mark, name: `${name}: diverged`, showlegend: false });
  }
  return traces;
}
