"use strict";
// Where the page begins: the controls, and what is drawn again when one changes.

function drawCharts() {
  for (const { draw } of views) draw?.();
}

function drawAll() {
  document.getElementById("chosen").textContent = `${chosen().length} of ${counted(trials.length, "trial")}`;
  drawCharts();
  for (const { choose } of views) choose?.();
}

/** Leave out what says nothing: a choice of one. */
function leaveOut() {
  document.getElementById("choice").hidden = !document.getElementById("curves") && !run.facets.length;
  for (const [id, shown] of [["best-only", RATES.length > 1], ["lines", trials.length > 1], ["metric", run.metrics.length > 1]]) {
    document.getElementById(id).closest("label").hidden = !shown;
  }
}

makeMetrics();
makeFacets(drawAll);
proposeAxis();
leaveOut();
foldFilters();
for (const { make } of views) make?.();
document.getElementById("metric").addEventListener("change", proposeAxis);
listen(["metric", "log"], drawCharts);
drawAll();
