"use strict";
// What theory expects beside what was measured: limits, rates, and the noise floor of SGD.

const COMPARED = {
  rate: { name: "rate a step", title: "factor by which a step shrinks the gradient norm", log: false },
  floor: { name: "noise floor", title: "loss above its minimum at the end", log: true },
  limit: { name: "stability limit", title: "", log: false },
};

/** Fill the select with what theory says something of. */
function makeTheory() {
  if (!run.theory) return;
  const there = Object.keys(COMPARED).filter((name) => run.theory[name].some((value) => value !== null));
  const select = document.getElementById("compare");
  select.append(...there.map((name) => new Option(COMPARED[name].name, name)));
  select.addEventListener("change", drawTheory);
}

function drawTheory() {
  if (!run.theory) return;
  const kind = document.getElementById("compare").value;
  const rows = theoryRows();
  const known = rows.filter((row) => row[kind] !== null);
  const groups = [...grouped(known, (row) => row.setting).values()].slice(0, MOST_LINES);
  const cut = groups.length < new Set(known.map((row) => row.setting)).size ? ` The first ${groups.length} settings are drawn.` : "";
  const [traces, layout] = kind === "limit" ? limitChart(groups) : rateChart(groups, kind);
  const caption = (kind === "limit" ? limitCaption(known) : rateCaption(known, kind)) + cut;
  const header = ["setting", "learning rate", "verdict", "limit", "limit is", "rate measured", "rate in theory", "floor measured", "floor in theory"];
  draw("theory", traces, { ...layout, xaxis: { title: { text: "learning rate" }, type: "log", exponentformat: "power" } }, caption, header, rows.map(theoryRow));
}

/** Return the settings and learning rates that have a chosen trial, each with its figures. */
function theoryRows() {
  const key = (setting, lr) => `${setting} ${lr}`;
  const shown = new Set(chosen().map((trial) => key(run.setting[trial], Number(columns.get("lr")[trial]))));
  const names = Object.keys(run.theory);
  const text = new Set(["verdict", "formula", "exact"]);
  const value = (name, at) => {
    const found = run.theory[name][at];
    return found === null || text.has(name) ? found : number(found);
  };
  return run.theory.setting
    .map((_, at) => Object.fromEntries(names.map((name) => [name, value(name, at)])))
    .filter((row) => shown.has(key(row.setting, row.lr)));
}

function theoryRow(row) {
  const digits = (value) => (value === null || !Number.isFinite(value) ? short(value) : String(Number(value.toPrecision(6))));
  const is = row.limit === null ? "" : row.exact ? row.formula : `${row.formula}, sufficient`;
  return [run.settings[row.setting], String(row.lr), row.verdict, short(row.limit), is,
    digits(row.measured_rate), digits(row.rate), short(row.measured_floor), short(row.floor)];
}

/** Return a chart of lines, as theory has it, and of marks, as it was measured. */
function rateChart(groups, kind) {
  const { title, log } = COMPARED[kind];
  const visible = (value) => value !== null && Number.isFinite(value) && (!log || value > 0);
  // What diverges would flatten the others; it is at the top.
  const held = groups.flat().filter((row) => row.verdict !== "diverged");
  const values = held.flatMap((row) => [row[`measured_${kind}`], row[kind]]).filter(visible);
  const top = values.reduce((most, value) => Math.max(most, value), log ? 1e-300 : 1);
  const at = (value) => {
    if (visible(value)) return Math.min(value, top);
    return value === null || Number.isFinite(value) ? null : top;
  };
  const traces = groups.flatMap((rows) => {
    const ordered = [...rows].sort((a, b) => a.lr - b.lr);
    const setting = ordered[0].setting;
    const name = literal(run.settings[setting]);
    const shared = { x: ordered.map((row) => row.lr), legendgroup: name };
    const dash = DASHES[setting % DASHES.length];
    const symbols = ordered.map((row) => (row.verdict === "diverged" ? "x" : MARKS[setting % MARKS.length]));
    return [
      { ...shared, name: `${name}, in theory`, mode: "lines", line: { color: color(setting), dash }, y: ordered.map((row) => at(row[kind])), hovertemplate: "lr %{x}: %{y:.6g}" },
      { ...shared, name: `${name}, measured`, mode: "markers", marker: { color: color(setting), symbol: symbols, size: 8 }, y: ordered.map((row) => at(row[`measured_${kind}`])), hovertemplate: "lr %{x}: %{y:.6g}" },
    ];
  });
  return [traces, { yaxis: { title: { text: title }, type: log ? "log" : "linear", exponentformat: "power" } }];
}

function percent(share) {
  return `${Number((100 * share).toPrecision(2))}%`;
}

function rateCaption(rows, kind) {
  const gaps = rows
    .filter((row) => row[`measured_${kind}`] !== null && Number.isFinite(row[kind]) && row.verdict !== "diverged")
    .map((row) => Math.abs(row[`measured_${kind}`] / row[kind] - 1))
    .filter(Number.isFinite)
    .sort((a, b) => a - b);
  const middle = gaps.length ? ` Of ${counted(gaps.length, "learning rate")} that did not diverge, half are within ${percent(quantile(gaps, 0.5))} of theory, all within ${percent(gaps[gaps.length - 1])}.` : "";
  const above = rows.filter((row) => row.verdict === "diverged" || !Number.isFinite(row[kind])).length;
  const known = rows.map((row) => row[`measured_${kind}`]).filter((value) => value !== null);
  const hidden = COMPARED[kind].log ? known.filter((value) => value <= 0).length : 0;
  const none = rows.filter((row) => row[`measured_${kind}`] === null).length;
  return `${capital(COMPARED[kind].name)} against the learning rate: lines in theory, in the long run, marks measured, an x where most seeds diverged.${middle}`
    + (hidden ? ` Not above 0, which this axis does not have: ${hidden}.` : "")
    + (none ? ` Not measured, for want of points: ${none}.` : "")
    + (above ? ` At the top, or above it: ${above}, which diverged or are to in theory.` : "");
}

/** Return a chart of the learning rates, a row a setting, with the limit across. */
function limitChart(groups) {
  const traces = groups.flatMap((rows) => {
    const setting = rows[0].setting;
    const y = (some) => some.map(() => literal(run.settings[setting]));
    const marks = (some, name, symbol) => ({
      x: some.map((row) => row.lr), y: y(some), mode: "markers", name, legendgroup: name, showlegend: false,
      marker: { symbol, size: 9, color: color(setting) }, text: some.map((row) => row.verdict), hovertemplate: "lr %{x}: %{text}<extra></extra>",
    });
    const out = rows.filter((row) => row.verdict === "diverged");
    const limit = [rows[0]];
    return [
      marks(rows.filter((row) => row.verdict !== "diverged"), "held", "circle"),
      marks(out, "diverged", "x"),
      { x: limit.map((row) => row.limit), y: y(limit), mode: "markers", showlegend: false, marker: { symbol: "line-ns-open", size: 24, color: "#000" }, hovertemplate: `${rows[0].exact ? "limit" : "sufficient"} ${literal(rows[0].formula)} = %{x:.4g}<extra></extra>` },
    ];
  });
  return [traces, { yaxis: { type: "category", automargin: true } }];
}

function limitCaption(rows) {
  const exact = rows.filter((row) => row.exact);
  const as = exact.filter((row) => (row.verdict === "diverged") === row.lr > row.limit).length;
  const said = exact.length ? ` Of ${counted(exact.length, "learning rate")} with an exact limit, ${as} did as it says: diverged above it, not below.` : "";
  const bounded = rows.filter((row) => !row.exact);
  const below = bounded.filter((row) => row.lr <= row.limit);
  const held = below.filter((row) => row.verdict !== "diverged").length;
  const open = bounded.length ? ` Below a limit that is only sufficient, ${held} of ${below.length} held; above it theory leaves it open.` : "";
  return `Learning rates of each setting: a disc where most seeds held, an x where they diverged; the stroke is the limit in theory.${said}${open}`;
}
