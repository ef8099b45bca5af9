"use strict";
// Charts: panels with axes, what is drawn in them, a legend that hides, zoom, and what a point says.
//
// A chart is {panels: [{title, layers}], x, y, legend, bar}, an axis {title, log, range, categories,
// fromZero, ticks}. A layer has a kind of `DRAWN`, x, y and color, and may have: name and say(place)
// for the pointer; key, by which the legend hides it; wild, where it diverged; free, where the axis
// need not reach it; dodge, so that no mark hides another.

const plots = new Map(); // by id: what is drawn, and how it is looked at
const PANEL = 17; // em: a panel is not narrower, unless the page is
const NEAR = 28; // pixels from the pointer to what it points at

const FONT = getComputedStyle(document.body).fontFamily;
const measure = document.createElement("canvas").getContext("2d");

/** Return how wide a text is in pixels. */
function widthOf(text, em) {
  measure.font = `${em}px ${FONT}`;
  return measure.measureText(text).width;
}

/** Return a text, its end cut off where it is wider than there is room, in pixels. */
function cutTo(text, room, em) {
  let shown = text;
  while (shown.length > 1 && widthOf(shown, em) > room) shown = `${shown.slice(0, shown.length > 2 ? -2 : -1)}…`;
  return shown;
}

const resized = new ResizeObserver((entries) => {
  for (const { target } of entries) {
    const view = [...plots.values()].find(({ host }) => host === target);
    if (view && view.width !== target.clientWidth) render(view);
  }
});

/** Draw a chart into the element of an id, or draw it anew. */
function plot(id, chart) {
  const host = document.getElementById(`${id}-plot`);
  if (!plots.has(id)) {
    plots.set(id, { host, hidden: new Set() });
    resized.observe(host);
  }
  const view = Object.assign(plots.get(id), { chart, zoom: null });
  render(view);
}

function render(view) {
  const { host, chart } = view;
  const em = parseFloat(getComputedStyle(document.documentElement).fontSize) * 0.8;
  view.width = host.clientWidth;
  hideTip();
  const filled = chart.panels.filter(({ layers }) => layers.some(saysSomething));
  legend(view, filled.length > 0);
  if (!filled.length) {
    view.panels = [];
    host.replaceChildren(Object.assign(element("p", chart.empty ?? "There is nothing to draw: no trial is chosen that has a point here."), { className: "note" }));
    return;
  }
  const gap = 1.2 * em;
  const columns = Math.max(1, Math.min(filled.length, Math.floor((view.width + gap) / (PANEL * em + gap))));
  const width = Math.max(10 * em, (view.width - gap * (columns - 1)) / columns);
  const height = chart.height ? chart.height(em) : Math.min(34 * em, Math.max(15 * em, width * (columns > 1 ? 0.72 : 0.55)));
  host.style.setProperty("--columns", columns);
  host.style.setProperty("--printed", Math.min(3, filled.length, Math.max(2, columns)));
  const axes = ["x", "y"].map((side) => sharedAxis(view, side));
  view.panels = filled.map((panel) => drawPanel(view, panel, axes, { em, width, height }));
  host.replaceChildren(...view.panels.map(({ box }) => box));
}

function saysSomething(layer) {
  if (layer.kind === "cells") return layer.cells.length > 0;
  return layer.kind === "ground" || layer.x.some((x, place) => isPoint(x) && isPoint(layer.y?.[place] ?? layer.low?.[place]));
}

function isPoint(value) {
  return value !== null && value !== undefined && !Number.isNaN(value);
}

/** Return an axis and what all panels have to show on it. */
function sharedAxis({ chart, zoom, hidden }, side) {
  const axis = zoom?.[side] ? { ...chart[side], range: zoom[side] } : chart[side];
  const [held, wild] = [[], []];
  for (const layer of chart.panels.flatMap(({ layers }) => layers)) {
    if (layer.kind === "cells" || axis.categories || hidden.has(layer.key)) continue;
    const values = layer.kind === "ground" ? layer[`${side}s`] : side === "x" ? layer.x : layer.free ? [] : [layer.y ?? [], layer.low ?? [], layer.high ?? []].flat();
    (layer.wild ? wild : held).push(...values.filter((value) => typeof value === "number"));
  }
  return { axis, extent: extentOf(axis, held, wild) };
}

function drawPanel(view, panel, axes, { em, width, height }) {
  const named = axes.map(({ axis }) => axis.categories ?? []);
  const longest = (texts) => texts.reduce((most, text) => Math.max(most, widthOf(text, em)), 0);
  const turned = named[0].length > 0 && longest(named[0]) > (width * 0.75) / named[0].length;
  const bottom = height - (turned ? Math.min(0.35 * height, longest(named[0])) + 3 * em : 3 * em);
  // Values go up, rows of squares down.
  const ends = axes[1].axis.categories ? [0.8 * em, bottom] : [bottom, 0.8 * em];
  const y = scaleOf(axes[1].axis, axes[1].extent, ends, 1.7 * em);
  const left = Math.min(0.38 * width, longest(y.ticks.map(([, text]) => text)) + (axes[1].axis.title ? 2.2 : 0.9) * em);
  const right = width - 0.9 * em;
  const x = scaleOf(axes[0].axis, axes[0].extent, [left, right], 3 * em);
  const id = `clip-${(render.clips = (render.clips ?? 0) + 1)}`;
  const frame = { x: left, y: 0, width: right - left, height: bottom };
  const canvas = svg("svg", { viewBox: `0 0 ${width.toFixed(1)} ${height.toFixed(1)}`, style: { fontSize: `${em}px` } });
  const drawn = { view, canvas, x, y, layers: panel.layers, hits: [], frame, axes };
  canvas.append(
    // A mark at the right end is whole.
    svg("clipPath", { id }, svg("rect", { ...frame, width: frame.width + 0.8 * em })),
    ...grid(x, y, frame),
    svg("g", { "clip-path": `url(#${id})` }, ...layersOf(drawn, em)),
    ...labels(axes.map(({ axis }) => axis), x, y, frame, { em, width, height, turned }),
  );
  watch(drawn);
  const box = element("div", "");
  box.className = "panel";
  box.append(...(panel.title ? [Object.assign(element("p", panel.title), { className: "panel-title" })] : []), canvas);
  return Object.assign(drawn, { box });
}

function grid(x, y, { x: left, y: above, width, height }) {
  const path = [
    ...x.ticks.map(([at]) => `M${at},${above}v${height}`),
    ...y.ticks.map(([at]) => `M${left},${at}h${width}`),
  ];
  const squares = x.step || y.step;
  return [
    svg("path", { class: "grid", d: squares ? "" : path.join("") }),
    svg("path", { class: "axis", d: squares ? "" : `M${left},${above}v${height}h${width}` }),
    svg("path", { class: "break", d: [...y.breaks.map((at) => `M${left},${at}h${width}`), ...x.breaks.map((at) => `M${at},${above}v${height}`)].join("") }),
  ];
}

/** Return the texts of the axes; of those that would touch, the first. */
function labels([across, up], x, y, { x: left, width: wide, height: high }, { em, width, height, turned }) {
  const made = [];
  const add = (text, shown, place) => made.push(svg("text", place, shown, ...(shown === text ? [] : [svg("title", {}, text)])));
  let free = -Infinity;
  for (const [at, text] of x.ticks) {
    const half = (turned ? 1.1 * em : widthOf(text, em) + 0.8 * em) / 2;
    if (at - half < free) continue;
    free = at + half;
    if (turned) add(text, cutTo(text, height - high - 3 * em, em), { transform: `translate(${at},${high + 0.5 * em}) rotate(-90)`, "text-anchor": "end", "dominant-baseline": "central" });
    else add(text, text, { x: Math.min(at, width - widthOf(text, em) / 2), y: high + 1.2 * em, "text-anchor": "middle" });
  }
  free = Infinity;
  for (const [at, text] of [...y.ticks].sort(([a], [b]) => b - a)) {
    if (at + 0.5 * em > free) continue;
    free = at - 0.6 * em;
    add(text, cutTo(text, left - (up.title ? 1.9 : 0.6) * em, em), { x: left - 0.5 * em, y: at, "text-anchor": "end", "dominant-baseline": "central" });
  }
  const title = (text, room, place) => text && add(text, cutTo(text, room, em), { ...place, class: "axis-title", "text-anchor": "middle" });
  title(across.title, wide, { x: left + wide / 2, y: height - 0.4 * em });
  title(up.title, high, { transform: `translate(${0.9 * em},${high / 2}) rotate(-90)` });
  return made;
}

/** Return what is drawn of the layers that are not hidden, and remember where each point is. */
function layersOf(drawn, em) {
  const { view, x, y, hits } = drawn;
  const taken = [];
  const scene = { x, y, em, drawn: [] };
  return drawn.layers.filter((layer) => !view.hidden.has(layer.key)).map((layer) => {
    const where = ({ x: xs, y: ys }, place) => {
      const point = [x.at(xs[place]), y.at(ys[place])];
      return point.includes(null) || !point.every(Number.isFinite) ? null : point.map((pixel) => Math.max(-1e4, Math.min(1e4, pixel)));
    };
    const shifts = new Map();
    if (layer.dodge) layer.x.forEach((_, place) => shifts.set(place, dodged(where(layer, place), taken, em, drawn.frame)));
    const at = (one, place) => {
      const point = where(one, place);
      return point && [point[0] + (layer.dodge ? shifts.get(place) : 0), point[1]];
    };
    if (layer.say) {
      layer.x.forEach((_, place) => {
        const point = at(layer, place);
        if (point) hits.push({ at: point, layer, place });
      });
    }
    return svg("g", { class: layer.kind }, ...DRAWN[layer.kind](layer, at, scene));
  });
}

/** Return how far a mark moves to the side so that it hides none of those that are drawn. */
function dodged(point, taken, em, frame) {
  if (!point) return 0;
  const wide = 0.85 * em;
  for (let order = 0; order < 60; order += 1) {
    const shift = wide * Math.ceil(order / 2) * (order % 2 ? 1 : -1);
    const there = point[0] + shift;
    if (shift && (there < frame.x + wide / 2 || there > frame.x + frame.width)) continue;
    if (taken.some(([x, y]) => Math.abs(x - point[0] - shift) < wide - 0.1 && Math.abs(y - point[1]) < wide)) continue;
    taken.push([point[0] + shift, point[1]]);
    return shift;
  }
  return 0;
}
