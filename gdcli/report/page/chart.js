"use strict";
// What the charts share: colours, captions, and their numbers as a table.

// Okabe and Ito's colours, which colour-blind readers tell apart; dashes and marks for the others.
const COLORS = [0, 1, 2, 3, 4, 5].map((place) => `var(--c${place})`);
const DASHES = [undefined, "7 4", "8 3 2 3", "2 3", "12 4", "12 3 3 3"];
const MARKS = ["circle", "square", "triangle", "diamond", "triangle-down", "star"];
// Light where the loss is low, so that ways stand out where they end.
const GROUND = [[253, 253, 246], [169, 183, 198], [46, 52, 64]];
const MOST_ROWS = 500; // of a chart's numbers

/** Return an element with a text. */
function element(tag, text) {
  const made = document.createElement(tag);
  made.textContent = text;
  return made;
}

/** Return a number in four digits, or what became of it. */
function short(value) {
  if (value === null || value === undefined) return "";
  return Number.isFinite(value) ? String(Number(value.toPrecision(4))) : "diverged";
}

/** Return the colour of a setting or a line. */
function color(order) {
  return COLORS[order % COLORS.length];
}

/** Return the dash of a line, another one when the colours are used up. */
function dash(order) {
  return DASHES[Math.floor(order / COLORS.length) % DASHES.length];
}

function mark(order) {
  return MARKS[(order + Math.floor(order / COLORS.length)) % MARKS.length];
}

/** Return the colour of a place from 0 to 1 on the scale of learning rates. */
function scaleColor(place) {
  const [low, high] = place < 0.5 ? ["low", "middle"] : ["middle", "high"];
  const part = Math.round(200 * (place < 0.5 ? place : place - 0.5));
  return `color-mix(in oklab, var(--rate-${high}) ${part}%, var(--rate-${low}))`;
}

/** Return a colour as CSS has it. */
function rgb(parts) {
  return `rgb(${parts.join(" ")})`;
}

/** Return the ink that is read on a colour. */
function inkOn([red, green, blue]) {
  return 0.299 * red + 0.587 * green + 0.114 * blue > 140 ? "#000" : "#fff";
}

/** Draw a chart; the caption is its text alternative, the table its numbers. */
function draw(id, chart, caption, header, rows) {
  plot(id, chart);
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

/** Return a count with its noun: 1 line, 2 lines. */
function counted(count, noun) {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

/** Return a text that begins a sentence. */
function capital(text) {
  return text[0].toUpperCase() + text.slice(1);
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

/** Return the ground of a picture: heights from 0 to 1 over a plane, and what each place is. */
function ground({ xs, ys, heights }, losses) {
  const near = (side, value) => side.reduce((best, one, at) => (Math.abs(one - value) < Math.abs(side[best] - value) ? at : best), 0);
  const say = ([x, y]) => {
    const [column, row] = [near(xs, x), near(ys, y)];
    const loss = losses[row][column];
    return `${short(xs[column])}, ${short(ys[row])}: ${typeof loss === "number" ? short(loss) : "no finite loss"}`;
  };
  return { kind: "ground", x: [], y: [], xs, ys, heights, stops: GROUND, say };
}

function groundBar(title, ticks) {
  return { title, colors: GROUND.map(rgb), ticks };
}

// Tables are printed as small as they must be to be whole; how wide they are is known before.
addEventListener("beforeprint", () => {
  for (const one of document.querySelectorAll(".scroll table")) {
    const em = parseFloat(getComputedStyle(one).fontSize);
    const left = [...one.querySelectorAll("th.same")].reduce((sum, head) => sum + head.offsetWidth, 0);
    one.style.setProperty("--wide", Math.ceil((one.scrollWidth - left) / em));
  }
});

/** Open the filters beside the charts; where there is no room, they are a bar that opens. */
function foldFilters() {
  const narrow = matchMedia("(max-width: 60rem)");
  const fold = () => { document.getElementById("filters").open = !narrow.matches; };
  narrow.addEventListener("change", fold);
  fold();
}
