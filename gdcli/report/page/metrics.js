"use strict";
// What the page measures by: the chosen metric, training and test together, and the rates' colours.

const MOST_SAID = 6; // lines, in the caption
const MOST_LINES = 100; // of a panel
const MOST_PANELS = 12; // settings in a chart
const PARTS = [{ symbol: "circle" }, { dash: "5 3", symbol: "square", open: true }]; // training, test
const SEPARATE = 16; // rates in a legend; of more, the colours' bar is shown

function checked(id) {
  return document.getElementById(id).checked;
}

/** Return the metrics of the chosen entry: one, or the training and the test part of one. */
function shownMetrics() {
  return document.getElementById("metric").value.split("+").map((name) => METRICS.get(name));
}

/** Return the name of a training and a test part together. */
function pairName([train, test]) {
  return train.label.startsWith("training ") ? `training and ${test.label}` : `${train.label} and ${test.label}`;
}

/** Fill the select: what has a training and a test part is there together first. */
function makeMetrics() {
  const pairs = run.metrics.map((one) => [one, METRICS.get(one.name.replace(/^train_/, "test_"))])
    .filter(([one, other]) => other && other !== one);
  const options = [
    ...pairs.map((pair) => new Option(pairName(pair), pair.map(({ name }) => name).join("+"))),
    ...run.metrics.map((metric) => new Option(metric.label, metric.name)),
  ];
  document.getElementById("metric").append(...options);
}

/** Tick the logarithmic axis for what falls by orders of magnitude, as losses above 0 do. */
function proposeAxis() {
  const shown = shownMetrics();
  const negative = shown.some(({ name }) => run.curves[name].some((values) => values.some((value) => value < 0)));
  document.getElementById("log").checked = shown[0].log && !negative;
}

const RATES = [...new Set(columns.get("lr"))].sort((a, b) => Number(a) - Number(b));
const RATE_PLACES = new Map(RATES.map((rate, place) => [rate, RATES.length > 1 ? place / (RATES.length - 1) : 0.5]));

// A setting looks the same in every chart, whatever is chosen; those with the lowest losses look different.
const PLACES = new Map(bestFirst([...grouped(trials, (trial) => run.setting[trial])]).map(([setting], place) => [setting, place]));

/** Return the colour of a learning rate: the same in every chart and panel. */
function rateColor(rate) {
  return scaleColor(RATE_PLACES.get(rate));
}

/** Return the axis of learning rates, those of the run marked. */
function rateAxis() {
  return { title: "learning rate", log: true, ticks: RATES.map((rate) => [Number(rate), label("lr", rate)]) };
}

function rateLegend(rates) {
  const shown = RATES.filter((rate) => new Set(rates).has(rate));
  const step = Math.ceil(shown.length / SEPARATE);
  return shown.filter((_, place) => place % step === 0 || place === shown.length - 1)
    .map((rate) => ({ name: label("lr", rate), color: rateColor(rate), width: 3, ...(step === 1 ? { key: rate } : {}) }));
}

/** Return the name of a line of a setting and a learning rate, of one trial with its seed. */
function lineName(setting, trial, single) {
  const seed = single ? ` seed ${columns.get("seed")[trial]}` : "";
  return `${run.settings[setting]} lr ${label("lr", columns.get("lr")[trial])}${seed}`;
}
