"use strict";
// Which trials are shown: a fieldset for each axis of the grid with more than one value.

const MOST_BOXES = 500;
const unchecked = new Map(run.facets.map((name) => [name, new Set()]));

/** Return the trials whose values are all ticked. */
function chosen() {
  const active = run.facets.filter((name) => unchecked.get(name).size);
  return trials.filter((trial) => active.every((name) => !unchecked.get(name).has(columns.get(name)[trial])));
}

/** Return the distinct values of a column, numbers in their order, then words in the grid's. */
function distinct(name, among = trials) {
  const cells = columns.get(name);
  const values = [...new Set(among.map((trial) => cells[trial]))];
  const rank = (text) => (Number.isNaN(cellNumber(text)) ? Infinity : cellNumber(text));
  return values.sort((a, b) => (rank(a) === rank(b) ? 0 : rank(a) - rank(b)));
}

/** Make the fieldsets; `changed` is called after every tick. */
function makeFacets(changed) {
  for (const name of run.facets) {
    const set = document.createElement("fieldset");
    set.append(element("legend", name.replaceAll("_", " ")));
    const values = distinct(name);
    if (values.length > MOST_BOXES) {
      set.append(`${values.length} values: find them in the table of trials`);
      document.getElementById("facets").append(set);
      continue;
    }
    const boxes = values.map((value) => checkbox(name, value, changed));
    for (const [word, on] of [["all", true], ["none", false]]) {
      const button = element("button", word);
      button.type = "button";
      button.setAttribute("aria-label", `${word} of ${name.replaceAll("_", " ")}`);
      button.addEventListener("click", () => tickAll(name, boxes, on, changed));
      set.append(button, " ");
    }
    set.append(...boxes.map((box) => box.parentElement));
    document.getElementById("facets").append(set);
  }
}

function checkbox(name, value, changed) {
  const box = document.createElement("input");
  Object.assign(box, { type: "checkbox", checked: true, name, value });
  box.addEventListener("change", () => {
    unchecked.get(name)[box.checked ? "delete" : "add"](value);
    changed();
  });
  const text = element("label", "");
  text.append(box, ` ${label(name, value)}`);
  return box;
}

function tickAll(name, boxes, on, changed) {
  for (const box of boxes) box.checked = on;
  unchecked.set(name, new Set(on ? [] : boxes.map((box) => box.value)));
  changed();
}
