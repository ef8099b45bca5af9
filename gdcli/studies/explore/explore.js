"use strict";
// Where the page of an exploration begins: its controls, its table, and which example is selected.

const MOST_EXAMPLES = 100; // of the table
const MEASURES = Object.keys(study.measures[0] ?? {});
const ASCENDING = new Set(["example", "confidence", "correctness", "margin"]);

/** Return the examples shown, in the chosen order; what was never learnt comes first. */
function ordered() {
  const name = document.getElementById("order").value;
  const way = ASCENDING.has(name) ? 1 : -1;
  const rank = name === "example" ? (place) => place : (place) => measures()[name][place] ?? Infinity;
  return shown().sort((a, b) => way * (rank(a) - rank(b)) || a - b);
}

function drawAll() {
  const among = ordered();
  if (!among.includes(selected)) selected = null;
  document.getElementById("chosen").textContent = `${among.length} of ${counted(places.length, "example")}`;
  drawMap(among);
  drawTable(among);
  portray(selected);
}

/** Select an example, and mark it in the map. */
function select(place) {
  selected = place;
  drawMap(ordered());
  portray(place);
}

function step(by) {
  const among = ordered();
  if (!among.length) return;
  const here = among.indexOf(selected);
  select(among[here < 0 ? (by > 0 ? 0 : among.length - 1) : (here + by + among.length) % among.length]);
}

function drawTable(among) {
  const rows = among.slice(0, MOST_EXAMPLES);
  const body = document.createElement("tbody");
  for (const place of rows) {
    const button = Object.assign(element("button", String(study.examples[place])), { type: "button" });
    button.addEventListener("click", () => select(place));
    const first = element("td", "");
    first.append(button);
    const row = study.row_numbers.length ? [element("td", String(study.row_numbers[place]))] : [];
    body.insertRow().append(first, ...row, element("td", String(target(place))), ...MEASURES.map((name) => element("td", worded(name, place))));
  }
  document.getElementById("table").tBodies[0].replaceWith(body);
  const note = among.length > rows.length ? `the first ${rows.length} of ${among.length} in this order` : counted(rows.length, "example");
  document.getElementById("range").textContent = note;
}

function makeControls() {
  const head = document.getElementById("table").tHead.insertRow();
  for (const name of ["example", ...(study.row_numbers.length ? [study.counted] : []), study.classified ? "label" : "target", ...MEASURES.map(spoken)]) {
    head.append(Object.assign(element("th", name), { scope: "col" }));
  }
  document.getElementById("setting").append(...study.settings.map((name) => new Option(name)));
  const orders = ["margin", "confidence", "variability", "forgetting", "el2n", "loss", "loss_deviation", "final_loss"];
  const own = orders.filter((name) => MEASURES.includes(name));
  document.getElementById("order").append(...[...own, "example"].map((name) => new Option(spoken(name), name)));
  for (const id of ["setting", "order", "errors-only", "flipped-only"]) {
    document.getElementById(id).addEventListener("change", drawAll);
  }
  document.getElementById("back").addEventListener("click", () => step(-1));
  document.getElementById("forth").addEventListener("click", () => step(1));
  document.getElementById("wanted").addEventListener("change", ({ target: { value } }) => {
    const place = study.examples.indexOf(Number(value));
    if (value !== "" && shown().includes(place)) select(place);
    else document.getElementById("portrait-title").textContent = `Example ${value} is not shown`;
  });
}

makeFilters(drawAll);
makeControls();
foldFilters();
drawAll();
