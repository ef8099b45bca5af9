"use strict";
// The graph of backpropagation: values go from left to right, gradients back.

const MOST_NAMED = 30; // nodes with a text beside them; the others say theirs under the pointer
const LEVEL = 110; // pixels for the nodes above each other

function drawGraph() {
  const places = new Map();
  for (const some of grouped(descent.graph, (node) => node.column).values()) {
    some.forEach((node, row) => places.set(node.name, [node.column, (some.length - 1) / 2 - row]));
  }
  const at = (node) => places.get(node.name ?? node);
  const ways = descent.graph.flatMap((node) => node.of.map((name) => [at(name), at(node)]));
  const edges = {
    x: ways.flatMap(([from, to]) => [from[0], to[0], null]), y: ways.flatMap(([from, to]) => [from[1], to[1], null]),
    mode: "lines", line: { color: "#888", width: 1 }, hoverinfo: "skip", showlegend: false,
  };
  const said = (node) => `<b>${literal(node.is)}</b><br>value ${short(node.value)}<br>gradient ${short(node.gradient)}`;
  const nodes = {
    x: descent.graph.map((node) => at(node)[0]), y: descent.graph.map((node) => at(node)[1]),
    mode: descent.graph.length > MOST_NAMED ? "markers" : "markers+text", textposition: "top center", showlegend: false,
    marker: { size: 16, color: COLORS[0], line: { color: "#333", width: 1 } },
    text: descent.graph.map(said), hovertext: descent.graph.map((node) => `${node.name} = ${said(node)}<br>${literal(node.chain)}`),
    hovertemplate: "%{hovertext}<extra></extra>",
  };
  const columns = descent.graph.map((node) => at(node)[0]);
  const rows = descent.graph.map((node) => at(node)[1]);
  const height = Math.min(600, LEVEL * (1.4 + Math.max(...rows) - Math.min(...rows)));
  document.getElementById("graph-plot").style.height = `${height}px`;
  const hidden = { visible: false, autorange: false };
  const layout = {
    xaxis: { ...hidden, range: [-0.6, Math.max(...columns) + 0.6] },
    yaxis: { ...hidden, range: [Math.min(...rows) - 0.4, Math.max(...rows) + 0.9] },
    margin: { l: 10, r: 10, t: 10, b: 10 },
  };
  const last = descent.graph[descent.graph.length - 1];
  const caption = `Backpropagation: ${counted(descent.graph.length, "node")}, each to the right of those that it is of. The loss is ${last.name}, ${short(last.value)}; `
    + "values are computed from left to right, gradients from right to left.";
  draw("graph", [edges, nodes], layout, caption, ["node", "is", "of"], descent.graph.map((node) => [node.name, node.is, node.of.join(", ")]));
}

drawGraph();
