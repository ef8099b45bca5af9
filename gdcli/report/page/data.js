"use strict";
// What the run wrote: its trials, one an index, and their curves.

const POWERS = 640; // of 10, from 10 ** -LEAST_POWER on
const LEAST_POWER = 327;

const run = JSON.parse(document.getElementById("data").textContent);
const trials = Array.from({ length: run.trials }, (_, trial) => trial);
// What is the same of all trials is there once.
for (const name of ["setting", "epochs"]) {
  if (!Array.isArray(run[name])) run[name] = trials.map(() => run[name]);
}
// A column is its distinct values, and the place among them of each trial's; without places it is
// the cells themselves, or the one value of all.
for (const column of run.columns) {
  if (typeof column.values === "string") column.values = column.values.split(",");
  const { values, at } = column;
  column.same = trials.length > 1 && values.length === 1;
  column.cells = at ? at.map((place) => values[place]) : trials.map((trial) => values[column.same ? 0 : trial]);
}
const columns = new Map(run.columns.map((column) => [column.name, column.cells]));
for (const name of Object.keys(run.curves)) run.curves[name] = unpacked(run.curves[name]);
const METRICS = new Map(run.metrics.map((metric) => [metric.name, metric]));

const LOST = new Set(run.lost); // trials that diverged

/** Return a number as the page holds it: nan and inf, which JSON has not, are text. */
function number(value) {
  if (typeof value === "number") return value;
  return value === "inf" ? Infinity : value === "-inf" ? -Infinity : NaN;
}

/** Return a cell of summary.csv as a number, NaN where it is empty or a word. */
function cellNumber(text) {
  return text === "" || isNaN(text) ? number(text) : Number(text);
}

/** Return the metric of a trial at its end: Infinity where it diverged, null where it failed. */
function final(trial, metric) {
  if (columns.get("status")[trial] === "failed") return null;
  const value = cellNumber(columns.get(`final_${metric}`)[trial]);
  return LOST.has(trial) || Number.isNaN(value) ? Infinity : value;
}

/** Return a metric's values, a list a trial: each value is 3 bytes, its digits and its power of 10. */
function unpacked(text) {
  const bytes = atob(text);
  let at = 0;
  const next = () => {
    const code = (bytes.charCodeAt(at) << 16) | (bytes.charCodeAt(at + 1) << 8) | bytes.charCodeAt(at + 2);
    at += 3;
    if (code < 3) return [NaN, Infinity, -Infinity][code];
    return Number(`${Math.floor((code - 3) / POWERS) - 9999}e${((code - 3) % POWERS) - LEAST_POWER}`);
  };
  return run.epochs.map((axis) => (axis === null ? [] : run.axes[axis].map(next)));
}

/** Return the points of a trial, the oldest first: its epochs and a metric; null where it failed. */
function curve(trial, metric) {
  if (run.epochs[trial] === null) return null;
  return { epochs: run.axes[run.epochs[trial]], values: run.curves[metric][trial] };
}

/** Return a value of the grid as a person reads it: a learning rate in few digits. */
function label(name, value) {
  return (name === "lr" ? run.rates[value] : value) || "none";
}
