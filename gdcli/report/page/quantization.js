"use strict";
// What a few bits cost: the score of each setting against the bits of its weights.

const HOW = { none: "not rounded", ptq: "rounded after training", qat: "rounded while training" };

function drawQuantization() {
  if (!run.quantization) return;
  const { score, points } = run.quantization;
  const name = (point) => [HOW[point.how], point.name].filter(Boolean).join(", ");
  const groups = [...grouped(points, name)];
  const traces = groups.map(([said, some], order) => {
    const ordered = [...some].sort((a, b) => a.bits - b.bits);
    return {
      name: literal(said), showlegend: true, mode: "lines+markers",
      x: ordered.map((point) => point.bits), y: ordered.map((point) => number(point.score)),
      line: { color: color(order), dash: DASHES[order % DASHES.length] },
      marker: { symbol: MARKS[order % MARKS.length], size: 9 },
      text: ordered.map((point) => `${point.bytes} bytes`), hovertemplate: "%{x} bits, %{text}: %{y:.4g}",
    };
  });
  const bits = [...new Set(points.map((point) => point.bits))].sort((a, b) => a - b);
  const layout = {
    xaxis: { title: { text: "bits of a weight" }, type: "log", tickvals: bits, ticktext: bits.map(String) },
    yaxis: { title: { text: literal(score) } },
  };
  const rows = points.map((point) => [name(point), String(point.bits), String(point.activation_bits ?? 32), short(number(point.score)), String(point.bytes)]);
  const said = rows.slice(0, MOST_SAID).map(([how, bit, , value]) => ` ${how}, ${bit} bits: ${value}.`);
  const caption = `${capital(score)} against the bits of a weight, 32 where it is not rounded: ${counted(groups.length, "line")}.${said.join("")}`;
  draw("quantization", traces, layout, caption, ["rounding", "bits of a weight", "of an activation", score, "bytes"], rows);
}
