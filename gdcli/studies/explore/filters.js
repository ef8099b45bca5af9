"use strict";
// Which examples are shown: by class, by region, and by what looks wrong with them.

const unticked = { class: new Set(), region: new Set() };

/** Return the places of the examples that pass every filter. */
function shown() {
  const own = measures();
  if (own === undefined) return [];
  const only = (id) => document.getElementById(id).checked;
  return places.filter((place) => !study.classified || (
    !unticked.class.has(target(place))
    && !unticked.region.has(region(place))
    && (!only("errors-only") || own.likely_error[place])
    && (!only("flipped-only") || study.targets.flipped[place])
  ));
}

/** Make a fieldset of boxes for the classes and one for the regions. */
function makeFilters(changed) {
  document.getElementById("errors-only-label").hidden = !study.classified;
  const flips = study.classified && study.targets.flipped.some(Boolean);
  document.getElementById("flipped-only-label").hidden = !flips;
  if (!study.classified) return;
  const classes = [...new Set(study.targets.label)].sort((a, b) => a - b);
  makeBoxes("class", classes.map(className), changed);
  makeBoxes("region", study.regions, changed);
}

function makeBoxes(name, values, changed) {
  const set = document.createElement("fieldset");
  set.append(element("legend", name));
  const boxes = values.map((value) => {
    const box = Object.assign(document.createElement("input"), { type: "checkbox", checked: true, name, value });
    box.addEventListener("change", () => {
      unticked[name][box.checked ? "delete" : "add"](value);
      changed();
    });
    return box;
  });
  for (const [word, on] of [["all", true], ["none", false]]) {
    const button = Object.assign(element("button", word), { type: "button", ariaLabel: `${word} of ${name}` });
    button.addEventListener("click", () => {
      for (const box of boxes) box.checked = on;
      unticked[name] = new Set(on ? [] : values);
      changed();
    });
    set.append(button, " ");
  }
  for (const box of boxes) {
    const text = element("label", "");
    text.append(box, ` ${box.value}`);
    set.append(text);
  }
  document.getElementById("facets").append(set);
}
