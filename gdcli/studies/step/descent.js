"use strict";
// The way down: on the curve of one weight, on the map of two, else the loss over the steps.

const descent = JSON.parse(document.getElementById("data").textContent);
descent.losses = descent.losses.map((loss) => loss ?? NaN); // which JSON has not

function drawDescent() {
  const { names, losses, points, ground: known } = descent;
  const [x, y] = known ? [names[0], names[1]] : points ? [names[0], "loss"] : ["step", "loss"];
  const layers = [...(known ? [ground(descent, known)] : points ? [curve()] : []), ...way()];
  const chart = {
    panels: [{ layers }], x: { title: x, ...(known ? { range: ends(descent.xs) } : {}) }, y: { title: y, ...(known ? { range: ends(descent.ys) } : {}) },
    legend: [{ name: "steps", color: COLORS[4], symbol: "circle" }, { name: "the last", color: COLORS[4], symbol: "star", line: false }],
    ...(known ? { bar: groundBar("loss", descent.ticks) } : {}),
  };
  const rows = losses.map((loss, step) => [String(step), short(loss), ...(points ?? []).map((side) => short(side[step]))]);
  draw("picture", chart, descentCaption(), ["step", "loss", ...(points ? names : [])], rows);
}

function ends(side) {
  return [side[0], side[side.length - 1]];
}

function curve() {
  return { kind: "line", x: descent.xs, y: descent.ys, color: COLORS[5], width: 2 };
}

/** Return the points in their order, the start and the last marked. */
function way() {
  const { losses, points, ground: known } = descent;
  const steps = (points ? points[0] : losses).map((_, step) => step);
  const [x, y] = [points ? points[0] : steps, known ? points[1] : losses.slice(0, steps.length)];
  const shared = { color: COLORS[4], halo: known ? "#fff" : undefined };
  const say = (step) => `step ${step}: loss ${short(losses[step])}\n${short(x[step])}, ${short(y[step])}`;
  const last = steps.length - 1;
  return [
    { ...shared, kind: "line", x, y, width: 1.5, dash: known || !points ? "none" : "4 3" },
    { ...shared, kind: "points", x: x.slice(0, last), y: y.slice(0, last), size: 3.5, say },
    { ...shared, kind: "points", x: x.slice(0, 1), y: y.slice(0, 1), size: 5, say },
    { ...shared, kind: "points", x: x.slice(last), y: y.slice(last), symbol: "star", size: 8, say: () => say(last) },
  ];
}

function descentCaption() {
  const { names, losses, points, ground } = descent;
  const what = ground ? `The loss over ${names[0]} and ${names[1]}, lighter where it is lower` : points ? `The loss over ${names[0]}` : "The loss over the steps";
  const left = points ? losses.length - points[0].length : 0;
  return `${what}, and ${counted(losses.length - 1, "step")} from a disc to a star: the loss goes from ${short(losses[0])} to ${short(losses[losses.length - 1])}.`
    + (left ? ` Not drawn: ${counted(left, "point")} far outside.` : "");
}

drawDescent();
