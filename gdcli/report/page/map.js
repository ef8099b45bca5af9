"use strict";
// The data map: confidence over variability, or of a regression the mean loss over its deviation.

const AXES = study.classified ? ["variability", "confidence"] : ["loss_deviation", "loss"];

function drawMap(among) {
  const traces = [...regionTraces(among), ...(study.classified ? [errorTrace(among)] : []), selectedTrace()];
  const titles = study.classified
    ? ["variability: deviation of the label's probability over the epochs", "confidence: mean probability of the label"]
    : ["deviation of the loss over the epochs", "mean loss"];
  const layout = {
    xaxis: { title: { text: titles[0] }, rangemode: "tozero" },
    yaxis: { title: { text: titles[1] }, rangemode: "tozero" },
    legend: { orientation: "h", y: 1.1 },
    margin: { l: 70, r: 10, t: 10, b: 50 },
  };
  const [header, rows] = numbers(among);
  draw("map", traces, layout, caption(among), header, rows);
}

function points(some) {
  const own = measures();
  return {
    x: some.map((place) => own[AXES[0]][place]),
    y: some.map((place) => own[AXES[1]][place]),
    customdata: some,
    text: some.map((place) => literal(`example ${study.examples[place]}, ${said(place)}`)),
    type: "scatter",
    mode: "markers",
    hovertemplate: "%{text}<br>%{x}, %{y}<extra></extra>",
  };
}

function regionTraces(among) {
  if (!study.classified) return [{ ...points(among), name: "examples", marker: { color: COLORS[5], size: 6 } }];
  return study.regions.map((name) => {
    const [symbol, color] = REGION_MARKS[name];
    return { ...points(among.filter((place) => region(place) === name)), name, marker: { symbol, color, size: 6, opacity: 0.7 } };
  });
}

function errorTrace(among) {
  const errors = among.filter((place) => measures().likely_error[place]);
  const marker = { symbol: "circle-open", color: "#000", size: 11 };
  return { ...points(errors), name: "likely label error", marker, hoverinfo: "skip", hovertemplate: undefined };
}

function selectedTrace() {
  const some = selected === null ? [] : [selected];
  const marker = { symbol: "star-open", color: "#000", size: 18, line: { width: 2 } };
  return { ...points(some), name: "selected", showlegend: false, marker, hoverinfo: "skip", hovertemplate: undefined };
}

function caption(among) {
  const setting = study.settings[document.getElementById("setting").selectedIndex] ?? "no setting";
  const count = `${among.length} of ${counted(places.length, "example")} of ${setting}`;
  if (!study.classified) return `Mean loss over its deviation: ${count}.`;
  const regions = study.regions.map((name) => `${among.filter((place) => region(place) === name).length} ${name}`);
  const errors = among.filter((place) => measures().likely_error[place]).length;
  return `Data map: ${count}; ${regions.join(", ")}; ${counted(errors, "likely label error")}, ringed. `
    + `Ambiguous from a variability of ${study.bounds.ambiguous}; of the others easy from a confidence of 0.5. `
    + "Point at an example to see it, click to keep it; the buttons beside, and those of the table, do the same.";
}

/** Return the counts by class, as a header and rows. */
function numbers(among) {
  if (!study.classified) return [["examples"], [[String(among.length)]]];
  const rows = [...grouped(among, target)].sort(([a], [b]) => a - b).map(([name, some]) => [
    String(name), String(some.length),
    ...study.regions.map((word) => String(some.filter((place) => region(place) === word).length)),
    String(some.filter((place) => measures().likely_error[place]).length),
  ]);
  return [["class", "examples", ...study.regions, "likely label errors"], rows];
}
