"use strict";
// The curves: a panel for each setting, with a line for each learning rate in a colour of its own.
// Where each setting has one rate, there is one panel, with a colour for each setting.

function drawCurves() {
  const shown = shownMetrics();
  const log = document.getElementById("log").checked;
  const { lines, total } = curveLines(shown[0].name);
  const settings = [...grouped(lines, ({ setting }) => setting)];
  const byRate = !checked("best-only") && settings.some(([, some]) => new Set(some.map(({ lr }) => lr)).size > 1);
  const colorOf = byRate ? (line) => rateColor(line.lr) : (line) => color(PLACES.get(line.setting));
  const single = document.getElementById("lines").value === "trial";
  const best = new Set(byRate && !single ? settings.map(([, [first]]) => first).filter(({ diverged }) => !diverged) : []);
  const layers = (some) => some.flatMap((line) => shown.flatMap((metric, part) => curveLayers(line, metric, part, {
    color: colorOf(line), key: byRate ? line.lr : line.setting, thick: best.has(line),
    dash: shown.length > 1 ? PARTS[part].dash : byRate ? undefined : dash(PLACES.get(line.setting)),
  })));
  // The best is drawn last, so that it is on top.
  const panels = byRate
    ? settings.map(([setting, some]) => ({ title: run.settings[setting], layers: layers([...some].reverse()) }))
    : [{ layers: layers(lines) }];
  const chart = {
    panels, x: { title: "epoch" }, y: { title: shown.length > 1 ? pairName(shown) : shown[0].label, log },
    ...curvesLegend(lines, settings, byRate, shown, best.size > 0),
  };
  const [rows, caption] = curvesSaid(lines, total, shown, byRate);
  draw("curves", chart, caption, ["line", "at the start", "lowest", "at the end", "last epoch", "trials"], rows);
}

function curvesLegend(lines, settings, byRate, shown, thick) {
  const parts = shown.length > 1 ? shown.map((metric, part) => ({ name: metric.label, color: "var(--ink)", dash: PARTS[part].dash })) : [];
  const lost = lines.some((line) => line.diverged) ? [{ name: "diverged", color: "var(--ink)", symbol: "x", line: false }] : [];
  if (shown[0].name === "sharpness" && run.edges.length) parts.push({ name: "the edge of stability", color: "var(--ink)", dash: "2 4" });
  if (!byRate) {
    const named = settings.map(([setting, [line]]) => ({ name: checked("best-only") ? line.name : run.settings[setting], key: setting, color: color(PLACES.get(setting)), dash: shown.length > 1 ? undefined : dash(PLACES.get(setting)) }));
    return { legend: [...named, ...parts, ...lost] };
  }
  const best = thick ? [{ name: "thick: the lowest training loss of its setting", color: "var(--ink)", width: 3.4 }] : [];
  return { legendTitle: "colour: learning rate", legend: [...rateLegend(lines.map(({ lr }) => lr)), ...best, ...parts, ...lost] };
}

/** Return a caption, and a row for each line in numbers: where it starts, its lowest, where it ends. */
function curvesSaid(lines, total, shown, byRate) {
  const rows = lines.flatMap((line) => shown.map((metric) => curveRow(line, metric, shown.length > 1))).filter(Boolean);
  const lost = lines.filter((line) => line.diverged).length;
  const cut = lines.length < total ? `${lines.length} of ${total} lines: at most ${MOST_LINES} of each of the ${MOST_PANELS} settings with the lowest losses` : counted(total, "line");
  const values = lines.flatMap((line) => shown.flatMap((metric) => line.of(metric.name).map(({ median }) => median)));
  const low = values.filter((value) => value <= 0).length;
  const caption = capital(`${shown.length > 1 ? pairName(shown) : shown[0].label} over the epochs: ${cut}`)
    + `.${byRate ? " Each learning rate has a colour." : ""}`
    + (lines.some(({ count }) => count > 1) ? " A line is the median over the seeds; its band spans the quartiles." : "")
    + (lines.length > 1 ? " Where two solid lines coincide, the upper one has long dashes." : "")
    + (lost ? ` An x marks a line that diverged (${lost}). Values far above the rest are squeezed above a dashed line.` : "")
    + (low && document.getElementById("log").checked ? ` Points at or below 0 (${low}) are drawn in a lane below the logarithmic axis.` : "")
    + rows.slice(0, MOST_SAID).map(([name, start, , end]) => ` ${name}: from ${start} to ${end}.`).join("");
  return [rows, caption];
}

function curveRow(line, metric, both) {
  const points = line.of(metric.name);
  if (!points.length) return null;
  const [first, last] = [points[0], points[points.length - 1]];
  const least = points.reduce((low, point) => Math.min(low, point.median), Infinity);
  const end = line.diverged ? "diverged" : short(last.median);
  return [both ? `${line.name}, ${metric.label}` : line.name, short(first.median), short(least), end, last.x, first.count];
}

/** Return the lines of the settings with the lowest training losses, and how many there are in all. */
function curveLines(metric) {
  const single = document.getElementById("lines").value === "trial";
  const groups = [];
  for (const [setting, members] of grouped(chosen(), (trial) => run.setting[trial])) {
    const shown = checked("best-only") ? lowest(members) : members;
    const key = single ? (trial) => trial : (trial) => columns.get("lr")[trial];
    for (const group of grouped(shown, key).values()) groups.push({ setting, group });
  }
  const loss = new Map(groups.map((one) => [one, finalSpread(one.group, "train_loss")?.median ?? Infinity]));
  groups.sort((a, b) => (loss.get(a) === loss.get(b) ? 0 : loss.get(a) - loss.get(b)));
  const drawn = groups.filter(({ group }) => group.some((trial) => run.epochs[trial] !== null));
  const settings = [...grouped(drawn, ({ setting }) => setting).values()].slice(0, MOST_PANELS);
  const lines = settings.flatMap((some) => some.slice(0, MOST_LINES)).map((one) => {
    const bands = new Map();
    const of = (name) => {
      if (!bands.has(name)) bands.set(name, band(one.group, name));
      return bands.get(name);
    };
    return {
      name: lineName(one.setting, one.group[0], single),
      setting: one.setting,
      lr: columns.get("lr")[one.group[0]],
      count: one.group.length,
      diverged: loss.get(one) === Infinity,
      of,
      points: of(metric),
    };
  });
  return { lines, total: drawn.length };
}

/** Return the layers of a line: its quartiles, the line, and a cross where it diverged. */
function curveLayers(line, metric, part, { color: paint, key, thick, dash: dashes }) {
  const points = line.of(metric.name);
  const gone = points.findIndex(({ median }) => !Number.isFinite(median));
  // What is lost rises to the lane of what is infinite, and ends there.
  const inside = gone < 0 ? points : points.slice(0, gone + 1);
  if (!inside.length) return [];
  const x = inside.map((point) => point.x);
  const say = (place) => `${metric.label}, epoch ${x[place]}: ${short(inside[place].median)}`;
  const shared = { x, color: paint, key, wild: line.diverged, name: line.name };
  const layers = [];
  if (inside.some((point) => point.low < point.high)) layers.push({ ...shared, kind: "band", low: inside.map(({ low }) => low), high: inside.map(({ high }) => high) });
  const y = inside.map(({ median }) => median);
  layers.push(inside.length > 1 ? { ...shared, kind: "line", y, dash: dashes, width: thick ? 3 : 1.6, say }
    : { ...shared, kind: "points", y, symbol: PARTS[part].symbol, open: PARTS[part].open, say });
  const edge = metric.name === "sharpness" ? run.edges.find((one) => one.setting === line.setting && one.lr === Number(line.lr)) : undefined;
  if (edge) layers.push({ ...shared, kind: "line", x: [x[0], x[x.length - 1]], y: [edge.edge, edge.edge], dash: "2 4", width: 1.2, free: edge.edge > 2 * extreme(y, Math.max), say: () => `the edge of stability: ${short(edge.edge)}` });
  if (line.diverged) layers.push({ ...shared, kind: "points", x: x.slice(-1), y: y.slice(-1), symbol: "x", size: 5, dodge: true, say: () => `diverged at epoch ${x[x.length - 1]} or before` });
  return layers;
}

addView({ draw: drawCurves, make: () => listen(["lines", "best-only"], drawCurves) });
