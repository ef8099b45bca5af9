"use strict";
// The metric at the end over two axes, at the best of all others by training loss.

const SETTING = "setting";
const MOST_ACROSS = 100; // values of an axis
// Viridis in seven stops, for the lowest value first.
const VIRIDIS = [[253, 231, 37], [144, 215, 67], [53, 183, 121], [33, 145, 140], [49, 104, 142], [68, 57, 131], [68, 1, 84]];
const GREY = [187, 187, 187];

/** Fill the two selects with the axes; the rates go across, the settings down. */
function makeAxes() {
  const names = [...new Set(["lr", SETTING, ...run.facets])];
  for (const [id, first] of [["across", "lr"], ["down", SETTING]]) {
    const select = document.getElementById(id);
    select.append(...names.map((name) => new Option(name.replaceAll("_", " "), name, false, name === first)));
    select.addEventListener("change", drawHeatmap);
  }
}

/** Return the labels of an axis, and where a trial lies on it. */
function axisOf(name, among) {
  if (name !== SETTING || columns.has(SETTING)) {
    const values = distinct(name, among);
    const place = new Map(values.map((value, at) => [value, at]));
    return { labels: values.map((value) => label(name, value)), at: (trial) => place.get(columns.get(name)[trial]) };
  }
  const settings = [...new Set(among.map((trial) => run.setting[trial]))];
  const place = new Map(settings.map((setting, at) => [setting, at]));
  return { labels: settings.map((setting) => run.settings[setting]), at: (trial) => place.get(run.setting[trial]) };
}

/** Return squares, a row for each label: a number, null where all failed, undefined where there is no trial. */
function squaresOf(metric, across, down, among) {
  const squares = down.labels.map(() => across.labels.map(() => undefined));
  for (const group of grouped(among, (trial) => `${down.at(trial)},${across.at(trial)}`).values()) {
    const found = finalSpread(lowest(group), metric.name);
    squares[down.at(group[0])][across.at(group[0])] = found ? found.median : null;
  }
  return squares;
}

function drawHeatmap() {
  const [metric] = shownMetrics();
  const log = checked("log");
  const [x, y] = ["across", "down"].map((id) => document.getElementById(id).value);
  const among = chosen();
  const [across, down] = [axisOf(x, among), axisOf(y, among)];
  const squares = squaresOf(metric, across, down, among);
  const [columnsShown, rowsShown] = [across.labels.slice(0, MOST_ACROSS), rankedRows(squares).slice(0, MOST_ACROSS)];
  const said = (name) => name.replaceAll("_", " ");
  const cut = rowsShown.length < squares.length || columnsShown.length < across.labels.length ? ` The map shows ${rowsShown.length} of ${down.labels.length} rows and ${columnsShown.length} of ${across.labels.length} columns.` : "";
  const caption = `Median final ${metric.label}. Rows: ${said(y)}. Columns: ${said(x)}. Each cell is the best of the remaining options by training loss. `
    + `A cell shows its number if there is room. Grey: diverged or failed. Blank: no trial.${cut}`;
  const { cells, bar } = heatmapCells(squares, rowsShown, columnsShown, log, down.labels, across.labels);
  const chart = {
    panels: [{ layers: [{ kind: "cells", x: [], y: [], cells, say: (place) => cells[place].said }] }],
    x: { title: said(x), categories: columnsShown }, y: { categories: rowsShown.map((row) => down.labels[row]) },
    height: (em) => (Math.max(3, rowsShown.length) * (rowsShown.length > 40 ? 1.1 : 1.9) + 6) * em, bar,
  };
  draw("heatmap", chart, caption, [said(y), ...across.labels], down.labels.map((name, row) => [name, ...squares[row].map(squareText)]));
}

/** Return the rows: all in their order, or of too many those with the lowest values. */
function rankedRows(squares) {
  const rows = squares.map((_, row) => row);
  if (rows.length <= MOST_ACROSS) return rows;
  const least = squares.map((row) => row.reduce((low, value) => Math.min(low, value ?? Infinity), Infinity));
  return rows.sort((a, b) => (least[a] === least[b] ? 0 : least[a] - least[b]));
}

/** Return a square in words: a number, diverged, failed, or nothing where there is no trial. */
function squareText(value) {
  if (value === undefined) return "";
  return value === null ? "failed" : short(value);
}

function heatmapCells(squares, rows, across, log, downNames, acrossNames) {
  const size = log ? Math.log10 : (value) => value;
  const shown = rows.flatMap((row) => squares[row].slice(0, across.length)).filter((value) => !log || value > 0).map(size);
  const [low, high] = [Math.min, Math.max].map((pick) => extreme(shown, pick));
  const at = (value) => (high > low && (!log || value > 0) ? (size(value) - low) / (high - low) : 0);
  const cells = rows.flatMap((row, place) => across.flatMap((_, column) => {
    const value = squares[row][column];
    if (value === undefined) return [];
    const parts = Number.isFinite(value) ? shade(VIRIDIS, at(value)) : GREY;
    return [{ row: place, column, fill: rgb(parts), ink: inkOn(parts), text: squareText(value), said: `${downNames[row]}, ${acrossNames[column]}: ${squareText(value)}` }];
  }));
  const ends = [low, (low + high) / 2, high].map((end, place) => [place / 2, tickText(Number((log ? 10 ** end : end).toPrecision(3)))]);
  return { cells, bar: high > low ? { title: "", colors: VIRIDIS.map(rgb), ticks: ends } : undefined };
}

addView({ draw: drawHeatmap, make: makeAxes });
