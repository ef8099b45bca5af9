"use strict";
// The data map of an exploration in the run's folder, and what of it looks mislabelled.

const REGION_COLORS = { easy: ["circle", COLORS[2]], ambiguous: ["square", COLORS[1]], hard: ["triangle-up", COLORS[4]] };

function makeExplored() {
  if (!run.explored) return;
  const select = document.getElementById("explored-setting");
  select.append(...run.explored.settings.map((setting) => new Option(setting.name)));
  select.addEventListener("change", drawExplored);
  if (!run.explored.classified) document.getElementById("explored-list").textContent = "The examples of the highest loss";
  drawExplored();
}

function drawExplored() {
  const setting = run.explored.settings[document.getElementById("explored-setting").selectedIndex];
  if (!setting) {
    document.getElementById("explored-caption").textContent = "No setting was trained to the end.";
    return;
  }
  if (run.explored.classified) drawDataMap(setting);
  else drawLosses(setting);
}

function drawDataMap(setting) {
  const places = setting.examples.map((_, place) => place);
  const errors = places.filter((place) => setting.likely_error[place] === "True");
  const some = (among, name, marker) => ({
    x: among.map((place) => setting.variability[place]), y: among.map((place) => setting.confidence[place]),
    text: among.map((place) => literal(`example ${setting.examples[place]}, label ${setting.label[place]}, rather ${setting.predicted[place]}`)),
    type: "scatter", mode: "markers", name, marker, hovertemplate: "%{text}<br>%{x}, %{y}<extra></extra>",
  });
  const regions = run.explored.regions.map((name) => [name, places.filter((place) => setting.region[place] === name)]);
  const traces = regions.map(([name, among]) => some(among, name, { symbol: REGION_COLORS[name][0], color: REGION_COLORS[name][1], size: 6, opacity: 0.7 }));
  traces.push({ ...some(errors, "likely label error", { symbol: "circle-open", color: "#000", size: 11 }), hoverinfo: "skip", hovertemplate: undefined });
  const layout = {
    xaxis: { title: { text: "variability: deviation of the label's probability over the epochs" }, rangemode: "tozero" },
    yaxis: { title: { text: "confidence: mean probability of the label" }, rangemode: "tozero" },
  };
  const said = regions.map(([name, among]) => `${among.length} ${name}`).join(", ");
  const caption = `Data map of ${setting.name}: ${shownOf(setting)}; ${said}; ${counted(errors.length, "likely label error")}, ringed. gdcli explore -o FILE.html shows each example itself.`;
  const ranked = errors.sort((a, b) => setting.margin[a] - setting.margin[b]);
  const rows = ranked.map((place) => [String(setting.examples[place]), setting.label[place], setting.predicted[place], ...[setting.margin, setting.confidence, setting.variability].map((side) => short(side[place]))]);
  draw("explored", traces, layout, caption, ["example", "label", "rather", "margin", "confidence", "variability"], rows);
}

function drawLosses(setting) {
  const places = setting.examples.map((_, place) => place);
  const points = {
    x: setting.loss_deviation, y: setting.loss, text: places.map((place) => literal(`example ${setting.examples[place]}, target ${setting.target[place]}`)),
    type: "scatter", mode: "markers", marker: { color: COLORS[5], size: 6 }, hovertemplate: "%{text}<br>%{x}, %{y}<extra></extra>",
  };
  const layout = { xaxis: { title: { text: "deviation of the loss over the epochs" }, rangemode: "tozero" }, yaxis: { title: { text: "mean loss" }, rangemode: "tozero" } };
  const ranked = places.sort((a, b) => setting.loss[b] - setting.loss[a]).slice(0, 50);
  const rows = ranked.map((place) => [String(setting.examples[place]), setting.target[place], ...[setting.loss, setting.loss_deviation, setting.final_loss].map((side) => short(side[place]))]);
  draw("explored", [points], layout, `Mean loss over its deviation, of ${setting.name}: ${shownOf(setting)}.`, ["example", "target", "mean loss", "its deviation", "loss at the end"], rows);
}

function shownOf(setting) {
  return `${setting.examples.length} of ${counted(setting.total, "example")}`;
}
