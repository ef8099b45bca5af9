"use strict";
// The loss over a plane of the parameters, and the ways of the chosen trials across it.

const MOST_WAYS = 24; // drawn

function drawLandscape() {
  const scene = run.landscape;
  if (!scene) return;
  const shown = new Set(chosen());
  const ranked = bestWays(scene.ways.filter((way) => shown.has(way.trial)));
  const ways = ranked.slice(0, MOST_WAYS);
  const [x, y] = scene.axes;
  const range = (side) => [side[0], side[side.length - 1]];
  const chart = {
    panels: [{ layers: [ground(scene, scene.losses), ...ways.flatMap(wayLayers)] }],
    x: { title: x, range: range(scene.xs) }, y: { title: y, range: range(scene.ys) },
    legend: ways.map((way, order) => ({ key: way.trial, name: wayName(way), color: color(order), dash: dash(order) })),
    bar: groundBar("training loss", scene.ticks),
  };
  const header = ["trial", "loss at the start", "loss at the end", `${x} at the end`, `${y} at the end`, "off the plane", "steps"];
  draw("landscape", chart, landscapeCaption(scene, ways, ranked), header, ways.map(wayRow));
}

/** Return the ways, those that end lowest first, those that diverged last. */
function bestWays(ways) {
  const end = new Map(ways.map((way) => [way, final(way.trial, "train_loss") ?? Infinity]));
  return ways.sort((a, b) => (end.get(a) === end.get(b) ? 0 : end.get(a) - end.get(b)));
}

function wayName(way) {
  return lineName(run.setting[way.trial], way.trial, true);
}

function lost(way) {
  return final(way.trial, "train_loss") === Infinity;
}

/** Return the layers of a way: the line with its halo, its start and its end. */
function wayLayers(way, order) {
  const shared = { key: way.trial, color: color(order), name: wayName(way), halo: "#fff" };
  const say = (place) => `step ${way.steps[place]}: ${short(number(way.losses[place]))}`;
  const at = (place, symbol, size) => ({ ...shared, kind: "points", x: [way.x[place]], y: [way.y[place]], symbol, size });
  return [
    { ...shared, kind: "line", x: way.x, y: way.y, width: 2, dash: dash(order), say },
    at(0, "circle", 4),
    at(way.x.length - 1, lost(way) ? "x" : "star", 6),
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
