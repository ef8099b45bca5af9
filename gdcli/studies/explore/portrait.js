"use strict";
// One example: what it looks like, and what its measures are.

let selected = null; // the place of the example that stays when the pointer leaves the map

/** Show an example beside the map; null for none. */
function portray(place) {
  const title = document.getElementById("portrait-title");
  const body = document.getElementById("portrait-body");
  if (place === null) {
    title.textContent = "No example";
    body.replaceChildren();
    return;
  }
  title.textContent = `${numbered(place, "Example")}: ${said(place)}`;
  body.replaceChildren(look(place), facts(place));
}

/** Return the label of an example, and what it is taken for instead. */
function said(place) {
  if (!study.classified) return `target ${target(place)}`;
  const own = measures();
  const other = own.predicted[place] === study.targets.label[place] ? "" : `, the model expects ${className(own.predicted[place])}`;
  const flipped = study.targets.flipped[place] ? `, made wrong on purpose: it was ${className(study.targets.original_label[place])}` : "";
  return `label ${target(place)}${other}${flipped}`;
}

function look(place) {
  if (study.images) {
    const image = document.createElement("img");
    image.src = `data:image/png;base64,${study.images[place]}`;
    image.alt = `Picture of example ${study.examples[place]}`;
    return image;
  }
  const rows = study.names.map((name, at) => [name, String(study.rows[place][at])]);
  const more = study.features - study.names.length;
  if (more > 0) rows.push([`and ${more} more`, ""]);
  const held = document.createElement("div");
  held.append(table(["feature", "value"], rows));
  return Object.assign(held, { className: "scroll", tabIndex: 0, role: "region", ariaLabel: "Features" });
}

function facts(place) {
  const list = document.createElement("dl");
  for (const name of Object.keys(measures())) {
    list.append(element("dt", spoken(name)), element("dd", worded(name, place)));
  }
  return list;
}
