"use strict";
// The graph of backpropagation: values go from left to right, gradients back.

const MOST_NAMED = 30; // nodes with a text inside; the others say theirs under the pointer
const [WIDE, HIGH, GAP] = [11, 4.6, 4]; // of a node and the room to the next column, in em
const ROOM = 1.4; // between nodes above each other, in em

function drawGraph() {
  const named = descent.graph.length <= MOST_NAMED;
  const em = 13;
  const [wide, high] = named ? [WIDE * em, HIGH * em] : [em, em];
  const columns = [...grouped(descent.graph, (node) => node.column).values()];
  const most = Math.max(...columns.map((some) => some.length));
  const level = high + ROOM * em;
  const spans = descent.graph.some((node) => node.of.some((name) => node.column - columnOf(name) > 1));
  const above = (spans ? 1.6 : 0.6) * em; // where ways past other nodes run
  const [width, height] = [columns.length * (wide + GAP * em) - GAP * em + 2 * em, most * level + above + (spans ? 1 : 0) * em];
  const places = new Map();
  for (const some of columns) {
    some.forEach((node, row) => places.set(node.name, [em + node.column * (wide + GAP * em), above + (row + (most - some.length) / 2) * level]));
  }
  const size = { wide, high, em };
  const ways = descent.graph.flatMap((node) => node.of.map((name) => {
    const between = columns.slice(columnOf(name) + 1, node.column).flat().map((other) => places.get(other.name)[1]);
    return wayTo(places.get(name), places.get(node.name), between, size);
  }));
  const nodes = descent.graph.map((node) => nodeOf(node, places.get(node.name), { ...size, named }));
  const canvas = svg("svg", { viewBox: `0 0 ${width} ${height}`, style: { fontSize: `${em}px`, minWidth: `${named ? width : Math.min(width, 320)}px`, maxWidth: `${1.3 * width}px` } },
    svg("path", { class: "graph-ways", d: ways.join("") }), ...nodes);
  document.getElementById("graph-plot").replaceChildren(canvas);
  const last = descent.graph[descent.graph.length - 1];
  document.getElementById("graph-caption").textContent = `Backpropagation: ${counted(descent.graph.length, "node")}, inputs on the left, the loss on the right. The loss is ${last.name}, ${short(last.value)}; `
    + "values are computed from left to right, gradients from right to left.";
  const rows = descent.graph.map((node) => [node.name, node.is, node.of.join(", ")]);
  document.getElementById("graph-numbers").replaceChildren(table(["node", "computes", "from"], rows));
}

function columnOf(name) {
  return descent.graph.find((node) => node.name === name).column;
}

/** Return the way from a node to one that is of it; past other columns it runs where no node is. */
function wayTo([x, y], [toX, toY], between, { wide, high, em }) {
  const [start, end] = [[x + wide, y + high / 2], [toX, toY + high / 2]];
  const bend = 0.5 * GAP * em;
  if (!between.length) return `M${start}C${start[0] + bend},${start[1]} ${end[0] - bend},${end[1]} ${end}`;
  const middle = (start[1] + end[1]) / 2;
  const far = (lane) => Math.abs(lane - middle);
  const lanes = [middle, ...between.flatMap((top) => [top - 0.6 * em, top + high + 0.6 * em])];
  const free = lanes.filter((lane) => between.every((top) => lane < top - 0.3 * em || lane > top + high + 0.3 * em))
    .reduce((best, lane) => (far(lane) < far(best) ? lane : best), Math.min(...between) - 0.6 * em);
  return `M${start}C${start[0] + bend},${start[1]} ${start[0] + bend / 2},${free} ${start[0] + 2 * bend},${free}`
    + `H${end[0] - 2 * bend}C${end[0] - bend / 2},${free} ${end[0] - bend},${end[1]} ${end}`;
}

function nodeOf(node, [x, y], { wide, high, em, named }) {
  const said = [node.is, `value ${short(node.value)}`, `gradient ${short(node.gradient)}`];
  const lines = said.map((text, line) => svg("text", { class: line ? "" : "node-is", x: x + wide / 2, y: y + (1.3 + 1.3 * line) * em, "text-anchor": "middle" }, cutTo(text, (WIDE - 0.6) * em, em)));
  return svg("g", { class: "node" },
    svg("rect", { x, y, width: wide, height: high, rx: named ? 6 : em / 2 }),
    ...(named ? [svg("g", { class: "node-text" }, ...lines)] : []),
    svg("title", {}, [`${node.name} = ${said.join("\n")}`, node.chain].join("\n")));
}

drawGraph();
