"use strict";
// The loss over a plane of the parameters, and the ways of the chosen trials across it.

// Light where the loss is low, so that ways stand out where they end.
const GROUND = [[0, "#fdfdf6"], [0.5, "#a9b7c6"], [1, "#2e3440"]];

function drawLandscape() {
  const scene = run.landscape;
  if (!scene) return;
  const shown = new Set(chosen());
  const ranked = bestWays(scene.ways.filter((way) => shown.has(way.trial)));
  const ways = ranked.slice(0, MOST_LINES);
  const [x, y] = scene.axes;
  const range = (side) => [side[0], side[side.length - 1]];
  const axis = (title, side) => ({ title: { text: literal(title) }, range: range(side), autorange: false, showgrid: false, zeroline: false });
  const layout = { xaxis: axis(x, scene.xs), yaxis: axis(y, scene.ys) };
  const header = ["trial", "loss at the start", "loss at the end", `${x} at the end`, `${y} at the end`, "off the plane", "steps"];
  draw("landscape", [ground(scene), ...ways.flatMap(wayTraces)], layout, landscapeCaption(scene, ways, ranked), header, ways.map(wayRow));
}

/** Return the ways, those that end lowest first, those that diverged last. */
function bestWays(ways) {
  const end = new Map(ways.map((way) => [way, final(way.trial, "train_loss") ?? Infinity]));
  return ways.sort((a, b) => (end.get(a) === end.get(b) ? 0 : end.get(a) - end.get(b)));
}

function ground(scene) {
  return {
    type: "contour",
    x: scene.xs,
    y: scene.ys,
    z: scene.heights,
    text: scene.losses,
    zmin: 0,
    zmax: 1,
    contours: { start: 0, end: 1, size: 1 / 24 },
    line: { width: 0.3, color: "#555" },
    colorscale: GROUND,
    colorbar: { title: { text: "training loss" }, x: -0.12, xanchor: "right", tickvals: scene.ticks.map(([at]) => at), ticktext: scene.ticks.map(([, said]) => said) },
    hovertemplate: "%{x:.4g}, %{y:.4g}: %{text}<extra></extra>",
  };
}

function wayName(way) {
  return lineName(run.setting[way.trial], way.trial, true);
}

function lost(way) {
  return final(way.trial, "train_loss") === Infinity;
}

/** Return what Plotly draws of a way: the line with its halo, its start and its end. */
function wayTraces(way, order) {
  const colour = COLORS[order % COLORS.length];
  const shared = { x: way.x, y: way.y, legendgroup: String(way.trial), mode: "lines", hoverinfo: "skip", showlegend: false };
  const last = way.x.length - 1;
  const mark = (at, symbol, size) => ({
    ...shared,
    x: [way.x[at]],
    y: [way.y[at]],
    mode: "markers",
    marker: { symbol, size, color: colour, line: { color: "#fff", width: 1 } },
  });
  return [
    { ...shared, line: { color: "#fff", width: 5 } },
    {
      ...shared,
      name: literal(wayName(way)),
      showlegend: true,
      hoverinfo: undefined,
      line: { color: colour, width: 2, dash: DASHES[Math.floor(order / COLORS.length) % DASHES.length] },
      text: way.steps.map((step, at) => `step ${step}: ${short(number(way.losses[at]))}`),
      hovertemplate: "%{text}",
    },
    mark(0, "circle", 7),
    mark(last, lost(way) ? "x" : "star", 12),
  ];
}

function wayRow(way) {
  const [first, last] = [way.losses[0], way.losses[way.losses.length - 1]].map((loss) => short(number(loss)));
  const at = [way.x, way.y].map((side) => short(side[side.length - 1]));
  return [wayName(way), first, lost(way) ? "diverged" : last, ...at, short(number(way.off)), way.steps[way.steps.length - 1]];
}

function landscapeCaption(scene, ways, ranked) {
  const losses = scene.losses.flat().map(number);
  const known = losses.filter(Number.isFinite);
  const [low, high] = [Math.min, Math.max].map((end) => short(known.reduce((a, b) => end(a, b), end === Math.min ? Infinity : -Infinity)));
  const share = scene.share === null ? "" : ` The plane holds ${(100 * scene.share).toPrecision(3)}% of the variance of the trials' points.`;
  const blank = losses.length - known.length;
  const cut = ways.length < ranked.length ? `${ways.length} of ${ranked.length} ways, those that end lowest` : counted(ways.length, "way");
  const said = ways.map(wayRow).slice(0, MOST_SAID).map(([name, from, to]) => ` ${name}: from ${from} to ${to}.`);
  return `Training loss over ${scene.plane}; x: ${scene.axes[0]}, y: ${scene.axes[1]}. `
    + (known.length ? `Lighter is lower: from ${low} to ${high}.` : "")
    + (blank ? ` ${counted(blank, "point")} without a finite loss: blank.` : "")
    + share
    + ` ${cut}: from a dot to a star, or to an x where it diverged.`
    + (scene.higher ? ` ${counted(scene.higher, "way")} that end higher are not on this page.` : "")
    + (scene.others ? ` ${counted(scene.others, "way")} of trials that this run does not have: left out.` : "")
    + said.join("");
}
