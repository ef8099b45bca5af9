"use strict";
// What theory expects beside what was measured: limits, rates, and the noise floor of SGD.

const THEORY = run.views.theory.accounts;
const COMPARED = {
  rate: { name: "convergence rate", title: "gradient norm after a step / before", log: false },
  floor: { name: "noise floor", title: "loss above its minimum at the end", log: true },
  limit: { name: "stability limit", title: "", log: false },
};

/** Fill the select with what theory says something of. */
function makeTheory() {
  const there = Object.keys(COMPARED).filter((name) => THEORY[name].some((value) => value !== null));
  const select = document.getElementById("compare");
  select.append(...there.map((name) => new Option(COMPARED[name].name, name)));
  select.addEventListener("change", drawTheory);
}

function drawTheory() {
  const kind = document.getElementById("compare").value;
  const rows = theoryRows();
  const known = rows.filter((row) => row[kind] !== null);
  const all = [...grouped(known, (row) => row.setting).values()].sort(([a], [b]) => PLACES.get(a.setting) - PLACES.get(b.setting));
  const groups = all.slice(0, kind === "limit" ? MOST_LINES : MOST_PANELS);
  const cut = groups.length < all.length ? ` Of ${all.length} settings the ${groups.length} with the lowest losses are drawn.` : "";
  const caption = (kind === "limit" ? limitCaption(known) : rateCaption(known, kind)) + cut;
  const header = ["setting", "learning rate", "state", "limit", "limit is", "rate measured", "rate in theory", "floor measured", "floor in theory"];
  draw("theory", kind === "limit" ? limitChart(groups) : rateChart(groups, kind), caption, header, rows.map(theoryRow));
}

/** Return the settings and learning rates that have a chosen trial, each with its figures. */
function theoryRows() {
  const key = (setting, lr) => `${setting} ${lr}`;
  const shown = new Set(chosen().map((trial) => key(run.setting[trial], Number(columns.get("lr")[trial]))));
  const names = Object.keys(THEORY);
  const text = new Set(["state", "lost", "formula", "exact"]);
  const value = (name, at) => {
    const found = THEORY[name][at];
    return found === null || text.has(name) ? found : number(found);
  };
  return THEORY.setting
    .map((_, at) => Object.fromEntries(names.map((name) => [name, value(name, at)])))
    .filter((row) => shown.has(key(row.setting, row.lr)));
}

/** Return a figure in six digits: a rate is often close to 1. */
function digits(value) {
  if (value === null || value === undefined) return "none";
  return Number.isFinite(value) ? String(Number(value.toPrecision(6))) : "diverged";
}

function theoryRow(row) {
  const is = row.limit === null ? "" : row.exact ? row.formula : `${row.formula}, sufficient`;
  return [run.settings[row.setting], String(row.lr), row.state, short(row.limit), is,
    ...[row.measured_rate, row.rate].map((rate) => (rate === null ? "" : digits(rate))), short(row.measured_floor), short(row.floor)];
}

/** Return a chart of curves, as theory has it, and of marks, as it was measured. */
function rateChart(groups, kind) {
  const { title, log } = COMPARED[kind];
  const visible = (value) => value !== null && Number.isFinite(value) && (!log || value > 0);
  // What diverges would flatten the others: it has a place above, and theory's curve leaves the chart.
  const held = groups.flat().filter((row) => !row.lost);
  const values = held.flatMap((row) => [row[`measured_${kind}`], row[kind]]).filter(visible);
  const top = extreme(values, Math.max);
  const layers = groups.flatMap((rows) => {
    const { setting } = rows[0];
    const shared = { key: setting, color: color(PLACES.get(setting)), name: run.settings[setting] };
    const marks = (some, value, more) => ({
      ...shared, kind: "points", x: some.map(({ lr }) => lr), y: some.map(value), dodge: true, size: 4.5,
      say: (place) => `lr ${short(some[place].lr)}: ${some[place].state}, ${digits(some[place][`measured_${kind}`])} measured, ${digits(some[place][kind])} in theory`, ...more,
    });
    const lost = rows.filter((row) => row.lost);
    const found = rows.filter((row) => !row.lost && visible(row[`measured_${kind}`]));
    return [
      ...theoryCurves(setting, kind, Number.isFinite(top) ? top : 1).map((curve) => ({ ...shared, ...curve, dash: dash(PLACES.get(setting)) })),
      marks(found, (row) => row[`measured_${kind}`], { symbol: mark(PLACES.get(setting)) }),
      marks(lost, () => Infinity, { symbol: "x", size: 5 }),
    ];
  });
  const legend = groups.map(([{ setting }]) => ({ key: setting, name: run.settings[setting], color: color(PLACES.get(setting)), symbol: mark(PLACES.get(setting)), dash: dash(PLACES.get(setting)) }));
  return { panels: [{ layers }], x: rateAxis(), y: { title, log }, legendTitle: "line: theory, marks: measured", legend };
}

/** Return theory's curve of a setting as far as the chart goes: where it is above, it is cut. */
function theoryCurves(setting, kind, top) {
  const found = run.views.theory.curves.find((curve) => curve.setting === setting);
  if (!found) return [];
  const high = COMPARED[kind].log ? 3 * top : Math.max(top, 1) + 0.15;
  const y = found[kind].map(number).map((value) => (value <= high ? value : null));
  const say = (place) => `lr ${short(found.lr[place])}: ${digits(y[place])} in theory`;
  return [{ kind: "line", x: found.lr, y, say }];
}

function percent(share) {
  return `${Number((100 * share).toPrecision(2))}%`;
}

function rateCaption(rows, kind) {
  const gaps = rows
    .filter((row) => row[`measured_${kind}`] !== null && Number.isFinite(row[kind]) && !row.lost)
    .map((row) => Math.abs(row[`measured_${kind}`] / row[kind] - 1))
    .filter(Number.isFinite)
    .sort((a, b) => a - b);
  const middle = gaps.length ? ` Of ${counted(gaps.length, "learning rate")} that did not diverge, half are within ${percent(quantile(gaps, 0.5))} of theory, all within ${percent(gaps[gaps.length - 1])}.` : "";
  const lost = rows.filter((row) => row.lost).length;
  const expected = rows.filter((row) => !row.lost && !Number.isFinite(row[kind])).length;
  const known = rows.map((row) => row[`measured_${kind}`]).filter((value) => value !== null);
  const hidden = COMPARED[kind].log ? known.filter((value) => value <= 0).length : 0;
  const none = rows.filter((row) => row[`measured_${kind}`] === null).length;
  return `${capital(COMPARED[kind].name)} against the learning rate. Curves: theory, in the long run. Marks: measured. An x at ∞: at least half of the seeds diverged.${middle}`
    + (hidden ? ` ${counted(hidden, "measured value")} at or below 0: not drawn on this axis.` : "")
    + (none ? ` ${counted(none, "learning rate")} without a measured value.` : "")
    + (lost ? ` ${counted(lost, "learning rate")} diverged.` : "")
    + (expected ? ` In theory, ${counted(expected, "learning rate")} more would diverge in the long run.` : "");
}

/** Return a chart of the learning rates, a row a setting, with the limit across. */
function limitChart(groups) {
  const layers = groups.flatMap((rows, row) => {
    const { setting, limit, formula, exact } = rows[0];
    const marks = (some, symbol) => ({
      kind: "points", x: some.map(({ lr }) => lr), y: some.map(() => row), symbol, size: 4.5, color: color(PLACES.get(setting)), name: run.settings[setting],
      say: (place) => `lr ${short(some[place].lr)}: ${some[place].state}`,
    });
    return [
      marks(rows.filter((row) => !row.lost), "circle"),
      marks(rows.filter((row) => row.lost), "x"),
      { ...marks([{ lr: limit }], "bar"), size: 7, color: "var(--ink)", say: () => `${exact ? "limit" : "sufficient"} ${formula} = ${short(limit)}` },
    ];
  });
  const names = groups.map(([{ setting }]) => run.settings[setting]);
  const legend = [["did not diverge", "circle"], ["diverged", "x"], ["limit in theory", "bar"]].map(([name, symbol]) => ({ name, symbol, color: "var(--ink)", line: false }));
  return { panels: [{ layers }], x: rateAxis(), y: { categories: names }, height: (em) => (2 * Math.max(3, names.length) + 5) * em, legend };
}

function limitCaption(rows) {
  const exact = rows.filter((row) => row.exact);
  const as = exact.filter((row) => row.lost === row.lr > row.limit).length;
  const said = exact.length ? ` Of ${counted(exact.length, "learning rate")} with an exact limit, ${as} did as theory says: they diverged above the limit and not below it.` : "";
  const bounded = rows.filter((row) => !row.exact);
  const below = bounded.filter((row) => row.lr <= row.limit);
  const held = below.filter((row) => !row.lost).length;
  const open = bounded.length ? ` Below a limit that is only sufficient, ${held} of ${below.length} did not diverge; above it, theory says nothing.` : "";
  return `Learning rates of each setting. A disc: most seeds did not diverge. An x: at least half of the seeds diverged. A stroke: the limit in theory.${said}${open}`;
}

addView({ draw: drawTheory, make: makeTheory });
