"use strict";
// What a few bits cost: the score of each setting against the bits of its weights.

const HOW = { none: "not rounded", ptq: "rounded after training", qat: "rounded while training" };

function drawQuantization() {
  const { score, points } = run.views.quantization;
  const name = (point) => [HOW[point.how], point.name].filter(Boolean).join(", ");
  const groups = [...grouped(points, name)];
  const bits = [...new Set(points.map((point) => point.bits))].sort((a, b) => a - b);
  const layers = groups.flatMap(([said, some], order) => {
    const ordered = [...some].sort((a, b) => a.bits - b.bits);
    const shared = { key: said, name: said, color: color(order), x: ordered.map((point) => point.bits), y: ordered.map((point) => number(point.score)) };
    const say = (place) => `${ordered[place].bits} bits, ${ordered[place].bytes} bytes: ${short(shared.y[place])}`;
    return [{ ...shared, kind: "line", dash: dash(order) }, { ...shared, kind: "points", symbol: mark(order), size: 4.5, dodge: true, say }];
  });
  const chart = {
    panels: [{ layers }], x: { title: "bits of a weight", log: true, ticks: bits.map((bit) => [bit, String(bit)]) }, y: { title: score },
    legend: groups.map(([said], order) => ({ key: said, name: said, color: color(order), dash: dash(order), symbol: mark(order) })),
  };
  const rows = points.map((point) => [name(point), String(point.bits), String(point.activation_bits ?? 32), short(number(point.score)), String(point.bytes)]);
  const said = rows.slice(0, MOST_SAID).map(([how, bit, , value]) => ` ${how}, ${bit} bits: ${value}.`);
  const caption = `${capital(score)} against the bits of a weight, 32 where it is not rounded: ${counted(groups.length, "line")}.${said.join("")}`;
  draw("quantization", chart, caption, ["rounding", "bits of a weight", "of an activation", score, "bytes"], rows);
}

addView({ make: drawQuantization });
