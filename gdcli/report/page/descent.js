"use strict";
// The way down: on the curve of one weight, on the map of two, else the loss over the steps.

const descent = JSON.parse(document.getElementById("data").textContent);
descent.losses = descent.losses.map((loss) => loss ?? NaN); // which JSON has not
// Light where the loss is low, so that the way stands out where it ends.
const DEPTHS = [[0, "#fdfdf6"], [0.5, "#a9b7c6"], [1, "#2e3440"]];

function drawDescent() {
  const { names, losses, points, ground } = descent;
  const [x, y] = ground ? [names[0], names[1]] : points ? [names[0], "loss"] : ["step", "loss"];
  const layout = { xaxis: { title: { text: literal(x) } }, yaxis: { title: { text: literal(y) } } };
  const rows = losses.map((loss, step) => [String(step), short(loss), ...(points ?? []).map((side) => short(side[step]))]);
  draw("picture", [...(ground ? [map()] : points ? [curve()] : []), way()], layout, descentCaption(), ["step", "loss", ...(points ? names : [])], rows);
}

function curve() {
  return { x: descent.xs, y: descent.ys, mode: "lines", name: "loss", showlegend: false, line: { color: COLORS[0], width: 2 }, hoverinfo: "skip" };
}

function map() {
  return {
    type: "contour", x: descent.xs, y: descent.ys, z: descent.heights, text: descent.ground, zmin: 0, zmax: 1,
    contours: { start: 0, end: 1, size: 1 / 24 }, line: { width: 0.3, color: "#555" }, colorscale: DEPTHS,
    colorbar: { title: { text: "loss" }, tickvals: descent.ticks.map(([at]) => at), ticktext: descent.ticks.map(([, said]) => said) },
    hovertemplate: "%{x:.4g}, %{y:.4g}: %{text}<extra></extra>",
  };
}

/** Return the points in their order, the start and the last marked. */
function way() {
  const { losses, points, ground } = descent;
  const steps = (points ? points[0] : losses).map((_, step) => step);
  const last = steps.length - 1;
  return {
    x: points ? points[0] : steps, y: ground ? points[1] : losses.slice(0, steps.length), mode: "lines+markers", name: "steps", showlegend: false,
    line: { color: COLORS[4], width: 1.5 },
    marker: {
      color: COLORS[4], line: { color: "#fff", width: 1 },
      symbol: steps.map((step) => (step === last ? "star" : "circle")), size: steps.map((step) => (step === last ? 14 : step ? 7 : 10)),
    },
    text: steps.map((step) => `step ${step}: loss ${short(losses[step])}`), hovertemplate: "%{text}<br>%{x:.6g}, %{y:.6g}<extra></extra>",
  };
}

function descentCaption() {
  const { names, losses, points, ground } = descent;
  const what = ground ? `The loss over ${names[0]} and ${names[1]}, lighter where it is lower` : points ? `The loss over ${names[0]}` : "The loss over the steps";
  const left = points ? losses.length - points[0].length : 0;
  return `${what}, and ${counted(losses.length - 1, "step")} from a disc to a star: the loss goes from ${short(losses[0])} to ${short(losses[losses.length - 1])}.`
    + (left ? ` ${counted(left, "point")} far outside: not drawn.` : "");
}

drawDescent();
