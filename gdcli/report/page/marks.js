"use strict";
// What is drawn of a layer: lines, bands, marks, squares and a ground of heights, as SVG.

const CORNERS = {
  square: [[-0.9, -0.9], [0.9, -0.9], [0.9, 0.9], [-0.9, 0.9]],
  triangle: [[0, -1.1], [1.05, 0.8], [-1.05, 0.8]],
  "triangle-down": [[0, 1.1], [1.05, -0.8], [-1.05, -0.8]],
  diamond: [[0, -1.2], [1.2, 0], [0, 1.2], [-1.2, 0]],
  star: Array.from({ length: 10 }, (_, at) => [(at % 2 ? 0.5 : 1.2) * Math.sin((at * Math.PI) / 5), (at % 2 ? -0.5 : -1.2) * Math.cos((at * Math.PI) / 5)]),
};
const STROKES = { x: [[[-0.9, -0.9], [0.9, 0.9]], [[-0.9, 0.9], [0.9, -0.9]]], bar: [[[0, -1.6], [0, 1.6]]] };
const COVERING = "14 14"; // dashes of a line that lies on another
const LEVELS = 24; // lines of equal height
const FINEST = 400; // pixels along a side of the picture of a ground

/** Return an SVG element with attributes, styles where a value is an object, and children. */
function svg(tag, attributes = {}, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "style") Object.assign(made.style, value);
    else if (value !== undefined && value !== null) made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

function outline(corners) {
  return corners.map(([x, y], at) => `${at ? "L" : "M"}${x.toFixed(1)},${y.toFixed(1)}`).join("");
}

/** Return the path of a mark. */
function markPath(symbol, x, y, size) {
  const moved = (corners) => outline(corners.map(([dx, dy]) => [x + dx * size, y + dy * size]));
  if (STROKES[symbol]) return STROKES[symbol].map(moved).join("");
  if (CORNERS[symbol]) return `${moved(CORNERS[symbol])}Z`;
  const round = `a${size},${size} 0 1,0`;
  return `M${(x - size).toFixed(1)},${y.toFixed(1)}${round} ${2 * size},0${round} ${-2 * size},0Z`;
}

/** Return how a mark is painted: strokes and open marks have no inside. */
function markStyle({ color, symbol, open, opacity = 1, halo }) {
  const hollow = open || STROKES[symbol];
  return {
    fill: hollow ? "none" : color, stroke: hollow ? color : halo ?? (opacity < 1 ? "none" : "var(--paper)"),
    strokeWidth: hollow ? 2 : halo ? 1.5 : 0.7, opacity,
  };
}

const DRAWN = {
  line(layer, at, { drawn }) {
    let path = "";
    let pen = false;
    const points = layer.x.map((_, place) => at(layer, place));
    const covers = !layer.dash && drawn.some((other) => coincide(points, other));
    drawn.push(points);
    points.forEach((point) => {
      if (point) path += `${pen ? "L" : "M"}${point[0].toFixed(1)},${point[1].toFixed(1)}`;
      pen = Boolean(point);
    });
    const style = { fill: "none", stroke: layer.color, strokeWidth: layer.width ?? 1.6, strokeDasharray: layer.dash ?? (covers ? COVERING : "none"), opacity: layer.opacity ?? 1 };
    const halo = layer.halo ? [svg("path", { d: path, style: { ...style, stroke: layer.halo, strokeWidth: 5, strokeDasharray: "none" } })] : [];
    return [...halo, svg("path", { class: "trace", d: path, style })];
  },

  band(layer, at) {
    const side = (ends) => layer.x.map((x, place) => at({ x: layer.x, y: ends }, place)).filter(Boolean);
    const corners = [...side(layer.high), ...side(layer.low).reverse()];
    return [svg("path", { d: `${outline(corners)}Z`, style: { fill: layer.color, fillOpacity: 0.16, stroke: "none" } })];
  },

  points(layer, at) {
    const { symbol = "circle", size = 4 } = layer;
    let [path, bars] = ["", ""];
    layer.x.forEach((_, place) => {
      const point = at(layer, place);
      if (!point) return;
      path += markPath(symbol, ...point, size);
      const ends = [layer.low, layer.high].map((side) => side && at({ ...layer, y: side }, place));
      if (ends[0] && ends[1]) bars += `M${point[0].toFixed(1)},${ends[0][1].toFixed(1)}V${ends[1][1].toFixed(1)}`;
    });
    const style = { stroke: layer.color, strokeWidth: 1.2, fill: "none" };
    return [...(bars ? [svg("path", { d: bars, style })] : []), svg("path", { class: "marks", d: path, style: markStyle(layer) })];
  },

  cells(layer, _, { x, y, em }) {
    const [width, height] = [Math.abs(x.step) - 1, Math.abs(y.step) - 1];
    return layer.cells.map(({ row, column, fill, ink, text }) => {
      const [left, above] = [x.at(column) - width / 2, y.at(row) - height / 2];
      const room = widthOf(text, 0.9 * em) + 0.6 * em < width && height > em;
      const said = room ? [svg("text", { x: x.at(column), y: y.at(row), class: "in-cell", style: { fill: ink } }, text)] : [];
      return svg("g", {}, svg("rect", { x: left, y: above, width, height, style: { fill } }), ...said);
    });
  },

  ground(layer, _, { x, y }) {
    const { xs, ys, heights } = layer;
    const corner = [x.at(xs[0]), y.at(ys[ys.length - 1])];
    const size = [x.at(xs[xs.length - 1]) - corner[0], y.at(ys[0]) - corner[1]];
    const frame = { x: corner[0], y: corner[1], width: size[0], height: size[1], preserveAspectRatio: "none" };
    const lines = Array.from({ length: LEVELS - 1 }, (__, level) => contour(heights, (level + 1) / LEVELS))
      .map((ends) => ends.map(([row, column]) => `${x.at(between(xs, column)).toFixed(1)},${y.at(between(ys, row)).toFixed(1)}`))
      .filter((ends) => ends.length)
      .map((ends) => svg("path", { d: ends.map((end, at) => (at % 2 ? "L" : "M") + end).join("") }));
    return [svg("image", { ...frame, href: picture(layer) }), svg("g", { class: "contours" }, ...lines)];
  },
};

/** Return whether two lines lie on each other, to a pixel. */
function coincide(one, other) {
  return one.length === other.length && one.every((point, place) => {
    const there = other[place];
    return point && there ? Math.abs(point[0] - there[0]) < 1 && Math.abs(point[1] - there[1]) < 1 : point === there;
  });
}

/** Return a value between those at two whole places. */
function between(side, place) {
  const low = Math.min(Math.floor(place), side.length - 2);
  return side[low] + (place - low) * (side[low + 1] - side[low]);
}

/** Return the ends of the pieces of a line of equal height, two a piece, as rows and columns. */
function contour(heights, level) {
  const ends = [];
  for (let row = 0; row + 1 < heights.length; row += 1) {
    for (let column = 0; column + 1 < heights[row].length; column += 1) {
      const corners = [[row, column], [row, column + 1], [row + 1, column + 1], [row + 1, column]];
      const values = corners.map(([r, c]) => heights[r][c]);
      if (values.includes(null)) continue;
      const crossed = [];
      values.forEach((value, at) => {
        const next = (at + 1) % 4;
        if (value < level === values[next] < level) return;
        const part = (level - value) / (values[next] - value);
        crossed.push([0, 1].map((axis) => corners[at][axis] + part * (corners[next][axis] - corners[at][axis])));
      });
      ends.push(...crossed);
    }
  }
  return ends;
}

/** Return a ground as a picture, heights between the known ones interpolated. */
function picture({ xs, ys, heights, stops }) {
  const [width, height] = [Math.min(FINEST, 4 * xs.length), Math.min(FINEST, 4 * ys.length)];
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  const context = canvas.getContext("2d");
  const image = context.createImageData(width, height);
  const places = (side, count) => Array.from({ length: count }, (_, pixel) => {
    const value = side[0] + ((pixel + 0.5) / count) * (side[side.length - 1] - side[0]);
    let low = Math.min(Math.floor(((pixel + 0.5) / count) * (side.length - 1)), side.length - 2);
    while (low > 0 && side[low] > value) low -= 1;
    while (low + 2 < side.length && side[low + 1] < value) low += 1;
    return [low, (value - side[low]) / (side[low + 1] - side[low])];
  });
  const [across, up] = [places(xs, width), places(ys, height)];
  for (let row = 0; row < height; row += 1) {
    const [below, part] = up[height - 1 - row];
    for (let column = 0; column < width; column += 1) {
      const [left, share] = across[column];
      const corners = [heights[below][left], heights[below][left + 1], heights[below + 1][left], heights[below + 1][left + 1]];
      if (corners.includes(null)) continue;
      const [a, b, c, d] = corners;
      const value = (1 - part) * ((1 - share) * a + share * b) + part * ((1 - share) * c + share * d);
      image.data.set([...shade(stops, value), 255], 4 * (row * width + column));
    }
  }
  context.putImageData(image, 0, 0);
  return canvas.toDataURL();
}

/** Return the red, green and blue of a share between stops. */
function shade(stops, value) {
  const held = Math.min(1, Math.max(0, value)) * (stops.length - 1);
  const low = Math.min(Math.floor(held), stops.length - 2);
  return stops[low].map((part, at) => Math.round(part + (held - low) * (stops[low + 1][at] - part)));
}
