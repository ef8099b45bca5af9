"use strict";
// The data map of an exploration in the run's folder, and what of it looks mislabelled.

const REGION_MARKS = { easy: ["circle", COLORS[2]], ambiguous: ["square", COLORS[1]], hard: ["triangle", COLORS[4]] };

function makeExplored() {
  const select = document.getElementById("explored-setting");
  select.append(...run.views.explored.settings.map((setting) => new Option(setting.name)));
  select.addEventListener("change", drawExplored);
  drawExplored();
}

function drawExplored() {
  const setting = run.views.explored.settings[document.getElementById("explored-setting").selectedIndex];
  if (!setting) {
    document.getElementById("explored-caption").textContent = "No setting was trained to the end.";
    return;
  }
  if (run.views.explored.classified) drawDataMap(setting);
  else drawLosses(setting);
}

function drawDataMap(setting) {
  const places = setting.examples.map((_, place) => place);
  const errors = places.filter((place) => setting.likely_error[place] === "True");
  const layer = (among, name, more) => ({
    kind: "points", key: name, name, x: among.map((place) => setting.variability[place]), y: among.map((place) => setting.confidence[place]), ...more,
  });
  const regions = run.views.explored.regions.map((name) => [name, places.filter((place) => setting.region[place] === name)]);
  const looks = regions.map(([name]) => ({ name, key: name, symbol: REGION_MARKS[name][0], color: REGION_MARKS[name][1], line: false }));
  const ringed = { name: "likely label error", key: "errors", symbol: "circle", open: true, color: "var(--ink)", line: false };
  const layers = regions.map(([name, among], order) => layer(among, name, {
    ...looks[order], size: 3.5, opacity: 0.75,
    say: (at) => `${exampleOf(setting, among[at])}, label ${setting.label[among[at]]}, the model expects ${setting.predicted[among[at]]}\n${setting.variability[among[at]]}, ${setting.confidence[among[at]]}`,
  }));
  const chart = {
    panels: [{ layers: [...layers, layer(errors, ringed.name, { ...ringed, size: 6 })] }], legend: [...looks, ringed],
    x: { title: "variability: deviation of the label's probability over the epochs", fromZero: true }, y: { title: "confidence: mean probability of the label", fromZero: true },
  };
  const said = regions.map(([name, among]) => `${among.length} ${name}`).join(", ");
  const caption = `Data map of ${setting.name}: ${shownOf(setting)}; ${said}; ${counted(errors.length, "likely label error")}, ringed. gdcli explore -o FILE.html shows each example itself.`;
  const ranked = errors.sort((a, b) => setting.margin[a] - setting.margin[b]);
  const rows = ranked.map((place) => [...numbersOf(setting, place), setting.label[place], setting.predicted[place], ...[setting.margin, setting.confidence, setting.variability].map((side) => short(side[place]))]);
  draw("explored", chart, caption, [...numberNames(), "label", "model expects", "margin", "confidence", "variability"], rows);
}

function drawLosses(setting) {
  const places = setting.examples.map((_, place) => place);
  const points = {
    kind: "points", x: setting.loss_deviation, y: setting.loss, color: COLORS[5], size: 3.5,
    say: (at) => `${exampleOf(setting, at)}, target ${setting.target[at]}\n${setting.loss_deviation[at]}, ${setting.loss[at]}`,
  };
  const chart = { panels: [{ layers: [points] }], x: { title: "deviation of the loss over the epochs", fromZero: true }, y: { title: "mean loss", fromZero: true } };
  const ranked = places.sort((a, b) => setting.loss[b] - setting.loss[a]).slice(0, 50);
  const rows = ranked.map((place) => [...numbersOf(setting, place), setting.target[place], ...[setting.loss, setting.loss_deviation, setting.final_loss].map((side) => short(side[place]))]);
  draw("explored", chart, `Mean loss against its deviation over the epochs, ${setting.name}: ${shownOf(setting)}.`, [...numberNames(), "target", "mean loss", "deviation of the loss", "loss at the end"], rows);
}

/** Return which example it is, and its place in the user's file where that is known. */
function exampleOf(setting, place) {
  const row = setting.row ? ` (${run.views.explored.counted} ${setting.row[place]})` : "";
  return `example ${setting.examples[place]}${row}`;
}

function numbersOf(setting, place) {
  return [String(setting.examples[place]), ...(setting.row ? [setting.row[place]] : [])];
}

function numberNames() {
  return ["example", ...(run.views.explored.counted ? [run.views.explored.counted] : [])];
}

function shownOf(setting) {
  return `${setting.examples.length} of ${counted(setting.total, "example")}`;
}

addView({ make: makeExplored });
