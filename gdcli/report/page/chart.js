"use strict";
// What the charts share: colours, axes, captions, and their numbers as a table.

// Okabe and Ito's colours, which colour-blind readers tell apart; dashes and marks for the others.
const COLORS = ["#56B4E9", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#0072B2"];
const DASHES = ["solid", "dash", "dashdot", "dot", "longdash", "longdashdot"];
const MARKS = ["circle", "square", "triangle-up", "diamond", "triangle-down", "cross"];
const MOST_LINES = 100; // of a chart
const MOST_ROWS = 500; // of its numbers

/** Return an element with a text. */
function element(tag, text) {
  const made = document.createElement(tag);
  made.textContent = text;
  return made;
}

/** Return a name for Plotly, which reads some HTML: as it is written. */
function literal(name) {
  return name.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

/** Return a number in four digits, or what became of it. */
function short(value) {
  if (value === null || value === undefined) return "";
  return Number.isFinite(value) ? String(Number(value.toPrecision(4))) : "diverged";
}

/** Return the colour of a setting, light where a band is filled. */
function color(setting, opacity = 1) {
  const hex = COLORS[setting % COLORS.length];
  const parts = [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
  return `rgba(${parts.join(",")},${opacity})`;
}

/** Draw with Plotly; the caption is the chart's text alternative, the table its numbers. */
function draw(id, traces, layout, caption, header, rows) {
  Plotly.react(
    `${id}-plot`,
    traces,
    {
      margin: { l: 80, r: 20, t: 20, b: 60 },
      hovermode: "closest",
      hoverlabel: { namelength: -1 },
      showlegend: traces.some((trace) => trace.showlegend !== false && trace.name),
      ...layout,
    },
    { displaylogo: false, responsive: true, modeBarButtons: [["toImage", "zoom2d", "pan2d", "resetScale2d"]] },
  );
  document.getElementById(`${id}-caption`).textContent = caption;
  const shown = rows.slice(0, MOST_ROWS);
  const note = shown.length < rows.length ? [element("p", `The first ${shown.length} of ${rows.length} rows:`)] : [];
  document.getElementById(`${id}-numbers`).replaceChildren(...note, table(header, shown));
}

function table(header, rows) {
  const made = document.createElement("table");
  const head = made.createTHead().insertRow();
  head.append(...header.map((name) => Object.assign(element("th", name), { scope: "col" })));
  const body = made.createTBody();
  for (const row of rows) body.insertRow().append(...row.map((cell) => element("td", cell)));
  return made;
}

/**
 * Return the top of an axis: the highest value of the lines that converged, or of all.
 *
 * A line that diverges would flatten the others; it ends at the top with a cross.
 */
function topOf(lines) {
  const highest = (some) => {
    const values = some.flatMap((line) => line.points.map((point) => point.median)).filter(Number.isFinite);
    return values.reduce((most, value) => Math.max(most, value), -Infinity);
  };
  const tops = [highest(lines.filter((line) => !line.diverged)), highest(lines), 1];
  return tops.find(Number.isFinite);
}

/** Return a count with its noun: 1 line, 2 lines. */
function counted(count, noun) {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

/** Return a text that begins a sentence. */
function capital(text) {
  return text[0].toUpperCase() + text.slice(1);
}

/** Return the y axis, and how many points a logarithmic one cannot show. */
function valueAxis(title, lines, log) {
  const values = lines.flatMap((line) => line.points.map((point) => point.median));
  const hidden = log ? values.filter((value) => value <= 0).length : 0;
  const axis = { title: { text: literal(title) }, type: log ? "log" : "linear", exponentformat: "power" };
  return { axis, hidden };
}

/** Return the sentence that says what a logarithmic axis leaves out, or "". */
function hiddenNote(count) {
  if (!count) return "";
  return ` Points at or below 0, which a logarithmic axis does not have: ${count}; untick it to see them.`;
}

/** Group items by what a function says of each, in the order of the first of each. */
function grouped(items, key) {
  const groups = new Map();
  for (const item of items) {
    const name = key(item);
    if (!groups.has(name)) groups.set(name, []);
    groups.get(name).push(item);
  }
  return groups;
}
