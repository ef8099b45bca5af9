"use strict";
// Where the page begins: the controls, and what is drawn again when one changes.

function drawCharts() {
  drawCurves();
  drawSensitivity();
  drawHeatmap();
  drawTheory();
  drawLandscape();
}

function drawAll() {
  document.getElementById("chosen").textContent = `${chosen().length} of ${trials.length} trials`;
  view.page = 0;
  drawCharts();
  drawTable();
}

function listen(ids, drawn) {
  for (const id of ids) document.getElementById(id).addEventListener("change", drawn);
}

/** Tick the logarithmic axis for what falls by orders of magnitude, as losses do. */
function proposeAxis() {
  const metric = METRICS.get(document.getElementById("metric").value);
  document.getElementById("log").checked = metric.log;
}

document.getElementById("metric").append(...run.metrics.map((metric) => new Option(metric.label, metric.name)));
makeFacets(drawAll);
makeAxes();
makeTable();
proposeAxis();
document.getElementById("metric").addEventListener("change", proposeAxis);
listen(["metric", "log"], drawCharts);
listen(["lines", "best-only"], drawCurves);
listen(["across", "down"], drawHeatmap);
makeTheory();
drawQuantization();
makeExplored();
drawAll();
