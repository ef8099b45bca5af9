"use strict";
// The metric at the end against the learning rate, a line for each setting.

function drawSensitivity() {
  const shown = shownMetrics();
  const settings = bestFirst([...grouped(chosen(), (trial) => run.setting[trial])]);
  const all = settings.flatMap(([setting, members]) => shown.map((metric, part) => ({
    setting, part, metric,
    name: shown.length > 1 ? `${run.settings[setting]}, ${metric.label}` : run.settings[setting],
    points: sensitivityPoints(members, metric.name),
  }))).filter((line) => line.points.length);
  const lines = all.slice(0, MOST_PANELS * shown.length);
  const drawn = new Set(lines.map(({ setting }) => setting));
  const lost = lines.some((line) => line.points.some((point) => !Number.isFinite(point.median)));
  const title = shown.length > 1 ? pairName(shown) : shown[0].label;
  const chart = {
    panels: [{ layers: lines.flatMap((line) => sensitivityLayers(line, shown.length)) }],
    x: rateAxis(), y: { title: `final ${title}`, log: checked("log") },
    legend: [
      ...[...drawn].map((setting) => ({ key: setting, name: run.settings[setting], color: color(PLACES.get(setting)), symbol: mark(PLACES.get(setting)), dash: shown.length > 1 ? undefined : dash(PLACES.get(setting)) })),
      ...(shown.length > 1 ? shown.map((metric, part) => ({ name: metric.label, color: "var(--ink)", dash: PARTS[part].dash })) : []),
    ],
  };
  const caption = `Final ${title} against the learning rate: median and quartiles over the seeds, `
    + `${drawn.size} of ${counted(settings.length, "setting")}${drawn.size < settings.length ? ", those with the lowest losses" : ""}.`
    + (lost ? " An x at ∞ marks a median that diverged." : "") + " Marks that would hide each other stand side by side.";
  const rows = all.flatMap(({ name, points }) =>
    points.map((p) => [name, String(p.x), short(p.low), short(p.median), short(p.high), p.count]));
  draw("sensitivity", chart, caption, ["setting", "learning rate", "first quartile", "median", "third quartile", "trials"], rows);
}

function sensitivityPoints(members, metric) {
  const rates = [...grouped(members, (trial) => Number(columns.get("lr")[trial]))].sort(([a], [b]) => a - b);
  return rates
    .map(([x, group]) => ({ x, ...finalSpread(group, metric) }))
    .filter((point) => point.median !== undefined);
}

function sensitivityLayers({ name, setting, part, metric, points }, parts) {
  const held = points.filter(({ median }) => Number.isFinite(median));
  const lost = points.filter(({ median }) => !Number.isFinite(median));
  const shared = { key: setting, name, color: color(PLACES.get(setting)) };
  const say = (some) => (place) => `lr ${short(some[place].x)}: ${short(some[place].median)}`;
  const dashes = parts > 1 ? PARTS[part].dash : dash(PLACES.get(setting));
  return [
    // A gap, not a line across it, where a learning rate diverged.
    { ...shared, kind: "line", x: points.map(({ x }) => x), y: points.map(({ median }) => (Number.isFinite(median) ? median : null)), dash: dashes },
    {
      ...shared, kind: "points", x: held.map(({ x }) => x), y: held.map(({ median }) => median), symbol: mark(PLACES.get(setting)), open: part === 1, size: 4.5, dodge: true, say: say(held),
      low: held.map(({ low }) => low), high: held.map(({ high, median }) => (Number.isFinite(high) ? high : median)),
    },
    { ...shared, kind: "points", x: lost.map(({ x }) => x), y: lost.map(() => Infinity), symbol: "x", size: 5, dodge: true, say: (place) => `lr ${short(lost[place].x)}: ${metric.label} diverged` },
  ];
}

addView({ draw: drawSensitivity });
