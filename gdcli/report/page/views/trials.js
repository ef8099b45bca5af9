"use strict";
// The trials as a table: sorted by a column, found by text, a page at a time.

const ROWS = 100; // of a page: ten thousand would take seconds to lay out
const view = { column: null, descending: false, page: 0 };

function makeTable() {
  const row = document.getElementById("table").tHead.insertRow();
  for (const { name, same } of run.columns) {
    const head = Object.assign(document.createElement("th"), { scope: "col", className: sameClass(same) });
    const button = Object.assign(element("button", name.replaceAll("_", " ")), { type: "button" });
    button.addEventListener("click", () => sortBy(name));
    head.append(button);
    row.append(head);
  }
  const said = run.columns.filter(({ same, values }) => same && values[0] !== "").map(({ name, values }) => `${name.replaceAll("_", " ")} ${cell(values[0]).textContent}`).join(", ");
  document.getElementById("same").textContent = said ? `The same in all trials: ${said}.` : "";
  document.getElementById("find").addEventListener("input", () => turn(-view.page));
  document.getElementById("previous").addEventListener("click", () => turn(-1));
  document.getElementById("next").addEventListener("click", () => turn(1));
}

/** Return the class of a column in which all trials are the same: print says it once. */
function sameClass(same) {
  return same ? "same" : "";
}

function sortBy(name) {
  view.descending = view.column === name && !view.descending;
  view.column = name;
  turn(-view.page);
}

function turn(pages) {
  view.page += pages;
  drawTable();
}

function drawTable() {
  const rows = sorted(found());
  const last = Math.max(0, Math.ceil(rows.length / ROWS) - 1);
  view.page = Math.min(view.page, last);
  const first = view.page * ROWS;
  const shown = rows.slice(first, first + ROWS);
  const body = document.createElement("tbody");
  for (const trial of shown) {
    body.insertRow().append(...run.columns.map(({ cells, same }) => cell(cells[trial], sameClass(same))));
  }
  const table = document.getElementById("table");
  table.tBodies[0].replaceWith(body);
  run.columns.forEach(({ name }, place) => {
    const way = view.descending ? "descending" : "ascending";
    table.tHead.rows[0].cells[place].ariaSort = name === view.column ? way : "none";
  });
  document.getElementById("range").textContent = rows.length
    ? `${first + 1} to ${first + shown.length} of ${rows.length} trials`
    : "no trial";
  document.getElementById("previous").disabled = view.page === 0;
  document.getElementById("next").disabled = view.page === last;
}

function cell(text, className = "") {
  const value = Number(text);
  const long = text.length > 8 && !Number.isNaN(value);
  const made = element("td", long ? String(Number(value.toPrecision(6))) : text);
  if (long) made.title = text;
  return Object.assign(made, { className });
}

function found() {
  const text = document.getElementById("find").value.trim().toLowerCase();
  if (!text) return chosen();
  return chosen().filter((trial) => run.columns.some(({ cells }) => cells[trial].toLowerCase().includes(text)));
}

/** Return trials by the column that was asked for: numbers, then words, then nothing. */
function sorted(rows) {
  if (view.column === null) return rows;
  const cells = columns.get(view.column);
  const rank = (text) => (text === "" ? 3 : text === "nan" ? 2 : Number.isNaN(cellNumber(text)) ? 1 : 0);
  const way = view.descending ? -1 : 1;
  return [...rows].sort((a, b) => {
    const [one, other] = [cells[a], cells[b]];
    if (rank(one) !== rank(other)) return rank(one) - rank(other);
    if (rank(one) > 0) return way * (one < other ? -1 : one > other ? 1 : 0);
    const [left, right] = [cellNumber(one), cellNumber(other)];
    return left === right ? 0 : way * (left < right ? -1 : 1);
  });
}

addView({ make: makeTable, choose: () => turn(-view.page) });
