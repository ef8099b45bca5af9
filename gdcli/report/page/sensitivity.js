"use strict";
// The metric at the end against the learning rate, a line for each setting.

function drawSensitivity() {
  const metric = METRICS.get(document.getElementById("metric").value);
  const settings = bestFirst([...grouped(chosen(), (trial) => run.setting[trial])]);
  const all = settings.slice(0, MOST_LINES).map(([setting, members]) => ({
    setting,
    name: run.settings[setting],
    points: sensitivityPoints(members, metric.name),
  }));
  const lines = all.filter((line) => line.points.length);
  const top = topOf(lines);
  const log = document.getElementById("log").checked;
  const { axis, hidden } = valueAxis(`final ${metric.label}`, lines, log);
  const caption = `Final ${metric.label} against the learning rate: median and quartiles over the seeds, `
    + `${lines.length} of ${counted(settings.length, "setting")}. An x at the top: diverged.${hiddenNote(hidden)}`;
  const rows = lines.flatMap(({ name, points }) =>
    points.map((p) => [name, String(p.x), short(p.low), short(p.median), short(p.high), p.count]));
  const layout = { xaxis: { title: { text: "learning rate" }, type: "log", exponentformat: "power" }, yaxis: axis };
  const header = ["setting", "learning rate", "first quartile", "median", "third quartile", "trials"];
  draw("sensitivity", lines.flatMap((line) => sensitivityTraces(line, top, log)), layout, caption, header, rows);
}

/** Return settings with their trials, that with the lowest training loss first. */
function bestFirst(settings) {
  const loss = new Map(settings.map((one) => [one, finalSpread(lowest(one[1]), "train_loss")?.median ?? Infinity]));
  return settings.sort((a, b) => (loss.get(a) === loss.get(b) ? 0 : loss.get(a) - loss.get(b)));
}

function sensitivityPoints(members, metric) {
  const rates = [...grouped(members, (trial) => Number(columns.get("lr")[trial]))].sort(([a], [b]) => a - b);
  return rates
    .map(([x, group]) => ({ x, ...finalSpread(group, metric) }))
    .filter((point) => point.median !== undefined);
}

function sensitivityTraces(line, top, log) {
  const name = literal(line.name);
  const look = { color: color(line.setting), symbol: MARKS[line.setting % MARKS.length], size: 8 };
  const visible = (point) => Number.isFinite(point.median) && (!log || point.median > 0);
  const reach = (point, end) => (visible(point) && Number.isFinite(end) ? Math.abs(end - point.median) : 0);
  const lost = line.points.filter((point) => !Number.isFinite(point.median));
  return [
    {
      x: line.points.map((point) => point.x),
      // A gap, not a line across it, where a learning rate diverged.
      y: line.points.map((point) => (visible(point) ? point.median : null)),
      error_y: {
        type: "data",
        symmetric: false,
        array: line.points.map((point) => reach(point, point.high)),
        arrayminus: line.points.map((point) => reach(point, point.low)),
        thickness: 1,
      },
      mode: "lines+markers",
      name,
      legendgroup: name,
      marker: look,
      line: { dash: DASHES[line.setting % DASHES.length], color: look.color },
      hovertemplate: "lr %{x}: %{y:.5g}",
    },
    {
      x: lost.map((point) => point.x),
      y: lost.map(() => top),
      mode: "markers",
      name: `${name}: diverged`,
      legendgroup: name,
      showlegend: false,
      marker: { ...look, symbol: "x" },
    },
  ];
}
