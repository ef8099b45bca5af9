"use strict";
// What the run wrote: its trials, one an index, and their curves.

const run = JSON.parse(document.getElementById("data").textContent);
// A column is its distinct values, and the place among them of each trial's.
for (const column of run.columns) column.cells = column.at.map((place) => column.values[place]);
const columns = new Map(run.columns.map((column) => [column.name, column.cells]));
const trials = run.setting.map((_, trial) => trial);
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

/** Return the points of a trial, the oldest first: its epochs and a metric; null where it failed. */
function curve(trial, metric) {
  if (run.epochs[trial] === null) return null;
  return { epochs: run.axes[run.epochs[trial]], values: run.curves[metric][trial].map(number) };
}

/** Return a value of the grid as a person reads it: a learning rate in few digits. */
function label(name, value) {
  return (name === "lr" ? run.rates[value] : value) || "none";
}
