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
  document.getElementById("chosen").textContent = `${chosen().length} of ${counted(trials.length, "trial")}`;
  view.page = 0;
  drawCharts();
  drawTable();
}

function listen(ids, drawn) {
  for (const id of ids) document.getElementById(id).addEventListener("change", drawn);
}

/** Leave out what says nothing: curves of one point, a heat map of one square, a choice of one. */
function leaveOut() {
  const says = {
    curves: run.axes.some((axis) => axis.length > 1),
    sensitivity: RATES.length > 1,
    heatmap: run.facets.some((name) => name !== "seed"),
  };
  for (const [id, something] of Object.entries(says)) {
    document.getElementById(id).hidden = !something;
    document.querySelector(`nav a[href="#${id}"]`).hidden = !something;
  }
  document.getElementById("choice").hidden = !says.curves && !run.facets.length;
  for (const [id, shown] of [["best-only", RATES.length > 1], ["lines", trials.length > 1], ["metric", run.metrics.length > 1]]) {
    document.getElementById(id).closest("label").hidden = !shown;
  }
}

makeMetrics();
makeFacets(drawAll);
makeAxes();
makeTable();
proposeAxis();
leaveOut();
foldFilters();
document.getElementById("metric").addEventListener("change", proposeAxis);
listen(["metric", "log"], drawCharts);
listen(["lines", "best-only"], drawCurves);
listen(["across", "down"], drawHeatmap);
makeTheory();
drawQuantization();
makeExplored();
drawAll();
