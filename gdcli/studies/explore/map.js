"use strict";
// The data map: confidence over variability, or of a regression the mean loss over its deviation.

const AXES = study.classified ? ["variability", "confidence"] : ["loss_deviation", "loss"];

function drawMap(among) {
  const titles = study.classified
    ? ["variability: deviation of the label's probability over the epochs", "confidence: mean probability of the label"]
    : ["deviation of the loss over the epochs", "mean loss"];
  const chart = {
    panels: [{ layers: mapLayers(among) }], legend: study.classified ? [...REGION_LOOKS, ERROR_LOOK] : [],
    x: { title: titles[0], fromZero: true }, y: { title: titles[1], fromZero: true },
    empty: "No example is shown: tick a box of each filter.",
    onPoint: ({ layer, place }) => portray(layer.places[place]),
    onPick: ({ layer, place }) => select(layer.places[place]),
    onLeave: () => portray(selected),
  };
  const [header, rows] = numbers(among);
  draw("map", chart, caption(among), header, rows);
}

const REGION_LOOKS = study.classified ? study.regions.map((name) => ({ name, key: name, symbol: REGION_MARKS[name][0], color: REGION_MARKS[name][1], line: false })) : [];
const ERROR_LOOK = { name: "likely label error", key: "errors", symbol: "circle", open: true, color: "var(--ink)", line: false };

/** Return the layers of the map: the regions, the errors ringed, and the selected example. */
function mapLayers(among) {
  const regions = study.classified
    ? REGION_LOOKS.map((look) => ({ ...points(among.filter((place) => region(place) === look.name)), ...look }))
    : [{ ...points(among), name: "examples", color: COLORS[5] }];
  const errors = study.classified ? [mute({ ...points(among.filter((place) => measures().likely_error[place])), ...ERROR_LOOK, size: 6 })] : [];
  const star = mute({ ...points(selected === null ? [] : [selected]), symbol: "star", open: true, color: "var(--ink)", size: 9 });
  return [...regions, ...errors, star];
}

function points(some) {
  const own = measures();
  return {
    kind: "points", places: some, size: 3.5, opacity: 0.75,
    x: some.map((place) => own[AXES[0]][place]), y: some.map((place) => own[AXES[1]][place]),
    say: (at) => `${numbered(some[at])}, ${said(some[at])}\n${own[AXES[0]][some[at]]}, ${own[AXES[1]][some[at]]}`,
  };
}

/** Return a layer that the pointer passes through. */
function mute(layer) {
  return { ...layer, say: undefined };
}

function caption(among) {
  const setting = study.settings[document.getElementById("setting").selectedIndex] ?? "no setting";
  const count = `${among.length} of ${counted(places.length, "example")} of ${setting}`;
  if (!study.classified) return `Mean loss against its deviation over the epochs: ${count}.`;
  const regions = study.regions.map((name) => `${among.filter((place) => region(place) === name).length} ${name}`);
  const errors = among.filter((place) => measures().likely_error[place]).length;
  return `Data map: ${count}; ${regions.join(", ")}; ${counted(errors, "likely label error")}, ringed. `
    + `Ambiguous from a variability of ${study.bounds.ambiguous}; of the others easy from a confidence of 0.5. `
    + "Point at an example to see it, click to keep it; the buttons beside, and those of the table, do the same.";
}

/** Return the counts by class, as a header and rows. */
function numbers(among) {
  if (!study.classified) return [["examples"], [[String(among.length)]]];
  const rows = [...grouped(among, (place) => study.targets.label[place])].sort(([a], [b]) => a - b).map(([number, some]) => [
    className(number), String(some.length),
    ...study.regions.map((word) => String(some.filter((place) => region(place) === word).length)),
    String(some.filter((place) => measures().likely_error[place]).length),
  ]);
  return [["class", "examples", ...study.regions, "likely label errors"], rows];
}
