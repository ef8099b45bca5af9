"use strict";
// The loss over a plane of the parameters, and the paths of the chosen trials across it.

const MOST_PATHS = 24; // drawn

function drawLandscape() {
  const landscape = run.views.landscape;
  const shown = new Set(chosen());
  const ranked = bestPaths(landscape.paths.filter((path) => shown.has(path.trial)));
  const paths = ranked.slice(0, MOST_PATHS);
  const [x, y] = landscape.axes;
  const range = (side) => [side[0], side[side.length - 1]];
  const chart = {
    panels: [{ layers: [ground(landscape, landscape.losses), ...paths.flatMap(pathLayers)] }],
    x: { title: x, range: range(landscape.xs) }, y: { title: y, range: range(landscape.ys) },
    legend: paths.map((path, order) => ({ key: path.trial, name: pathName(path), color: color(order), dash: dash(order) })),
    bar: groundBar("training loss", landscape.ticks),
  };
  const header = ["trial", "loss at the start", "loss at the end", `${x} at the end`, `${y} at the end`, "off the plane", "steps"];
  draw("landscape", chart, landscapeCaption(landscape, paths, ranked), header, paths.map(pathRow));
}

/** Return the paths, those that end lowest first, those that diverged last. */
function bestPaths(paths) {
  const end = new Map(paths.map((path) => [path, final(path.trial, "train_loss") ?? Infinity]));
  return paths.sort((a, b) => (end.get(a) === end.get(b) ? 0 : end.get(a) - end.get(b)));
}

function pathName(path) {
  return lineName(run.setting[path.trial], path.trial, true);
}

function lost(path) {
  return final(path.trial, "train_loss") === Infinity;
}

/** Return the layers of a path: the line with its halo, its start and its end. */
function pathLayers(path, order) {
  const shared = { key: path.trial, color: color(order), name: pathName(path), halo: "#fff" };
  const say = (place) => `step ${path.steps[place]}: ${short(number(path.losses[place]))}`;
  const at = (place, symbol, size) => ({ ...shared, kind: "points", x: [path.x[place]], y: [path.y[place]], symbol, size });
  return [
    { ...shared, kind: "line", x: path.x, y: path.y, width: 2, dash: dash(order), say },
    at(0, "circle", 4),
    at(path.x.length - 1, lost(path) ? "x" : "star", 6),
  ];
}

function pathRow(path) {
  const [first, last] = [path.losses[0], path.losses[path.losses.length - 1]].map((loss) => short(number(loss)));
  const at = [path.x, path.y].map((side) => short(side[side.length - 1]));
  return [pathName(path), first, lost(path) ? "diverged" : last, ...at, short(number(path.off)), path.steps[path.steps.length - 1]];
}

function landscapeCaption(landscape, paths, ranked) {
  const losses = landscape.losses.flat().map(number);
  const known = losses.filter(Number.isFinite);
  const [low, high] = [Math.min, Math.max].map((end) => short(known.reduce((a, b) => end(a, b), end === Math.min ? Infinity : -Infinity)));
  const share = landscape.share === null ? "" : ` The plane holds ${(100 * landscape.share).toPrecision(3)}% of the variance of the trials' points.`;
  const blank = losses.length - known.length;
  const cut = paths.length < ranked.length ? `${paths.length} of ${ranked.length} paths, those that end lowest` : counted(paths.length, "path");
  const said = paths.map(pathRow).slice(0, MOST_SAID).map(([name, from, to]) => ` ${name}: from ${from} to ${to}.`);
  return `Training loss over ${landscape.plane}; x: ${landscape.axes[0]}, y: ${landscape.axes[1]}. `
    + (known.length ? `Lighter is lower: from ${low} to ${high}.` : "")
    + (blank ? ` Blank: ${counted(blank, "point")} without a finite loss.` : "")
    + share
    + ` ${cut}, each from a dot (start) to a star (end) or an x (diverged).`
    + (landscape.higher ? ` ${counted(landscape.higher, "path")} that end higher are not on this page.` : "")
    + (landscape.others ? ` Left out: ${counted(landscape.others, "path")} of trials that this run does not have.` : "")
    + said.join("");
}

addView({ draw: drawLandscape });
