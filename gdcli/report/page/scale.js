"use strict";
// Where a value lies along an axis, in pixels, and which values are marked there.
//
// An axis has up to four zones: a lane for zero, which a logarithmic axis has not; the values of
// what held; above them, squeezed, those of what diverged; and a lane for what is higher still, or
// infinite.

const HIGHEST = 1e12; // times what held: what is higher has the lane of what is infinite
const UPPER = 0.28; // of the axis, for what diverged
const SPARE = 0.05; // of the values' range, free at both ends
const RAISED = "⁰¹²³⁴⁵⁶⁷⁸⁹";

/** Return a power of ten, its exponent raised. */
function power(exponent) {
  const digits = [...String(Math.abs(exponent))].map((digit) => RAISED[digit]).join("");
  return `10${exponent < 0 ? "⁻" : ""}${digits}`;
}

/** Return a marked value in words. */
function tickText(value) {
  const size = Math.abs(value);
  if (size === 0 || (size >= 0.001 && size < 1e5)) return String(Number(value.toPrecision(6)));
  const [mantissa, exponent] = Number(value.toPrecision(4)).toExponential().split("e");
  const factor = { 1: "", "-1": "-" }[mantissa] ?? `${mantissa}·`;
  return factor + power(Number(exponent));
}

function extreme(values, pick) {
  return values.reduce((best, value) => (Number.isFinite(value) ? pick(best, value) : best), pick === Math.min ? Infinity : -Infinity);
}

/** Return what an axis has to show: `held` are the values of what held, `wild` of what diverged. */
function extentOf(axis, held, wild) {
  const all = [...held, ...wild];
  const shown = axis.log ? (value) => value > 0 : () => true;
  const [calm, any] = [held.filter(shown), all.filter(shown)];
  let [low, high] = [extreme(any, Math.min), extreme(calm, Math.max)];
  let top = extreme(any, Math.max);
  if (!Number.isFinite(top)) [low, high, top] = [1, 1, 1];
  const near = axis.log ? high * 10 : high + 0.5 * (high - low);
  if (!Number.isFinite(high)) high = axis.log ? Math.min(top, low * HIGHEST) : low;
  else if (top <= near) high = top;
  const cap = Math.max(high, HIGHEST * Math.max(high, 1e-300));
  const beyond = top > cap;
  top = Math.min(top, cap);
  if (axis.fromZero) low = Math.min(0, low);
  return {
    low, high, top,
    beyond: beyond ? cap : Infinity,
    zero: axis.log && all.some((value) => value <= 0),
    negative: all.some((value) => value < 0),
    lost: beyond || all.some((value) => value === Infinity),
  };
}

function padded(low, high, log) {
  if (log) {
    const spare = high > low ? (high / low) ** SPARE : 2;
    return [low / spare, high * spare];
  }
  const spare = high > low ? SPARE * (high - low) : Math.abs(low) / 2 || 0.5;
  return [low - spare, high + spare];
}

/** Return the scale of an axis between two pixels; a lane is `lane` of them wide. */
function scaleOf(axis, extent, [start, end], lane) {
  if (axis.categories) return categoryScale(axis.categories, start, end);
  const way = Math.sign(end - start);
  const lanes = { zero: null, lost: null };
  const narrow = axis.range ?? padded(extent.low, extent.high, axis.log);
  if (!axis.range && extent.zero) {
    lanes.zero = start + (way * lane) / 2;
    start += way * lane;
  }
  if (extent.lost) {
    lanes.lost = end - (way * lane) / 2;
    end -= way * lane;
  }
  const split = !axis.range && extent.top > extent.high && extent.top > 0;
  const middle = split ? end - UPPER * (end - start) : end;
  const zones = [{ from: narrow[0], to: narrow[1], start, end: middle, log: axis.log }];
  if (split) zones.push({ from: narrow[1], to: extent.top * 1.5, start: middle, end, log: true });
  const at = (value) => {
    if (value === null || value === undefined || Number.isNaN(value)) return null;
    if (value === Infinity || (lanes.lost !== null && value > extent.beyond)) return lanes.lost;
    if (axis.log && value <= 0) return lanes.zero;
    const zone = zones.findLast(({ from }) => value > from) ?? zones[0];
    return zone.start + share(zone, value) * (zone.end - zone.start);
  };
  const value = (pixel) => {
    const zone = zones.find((one) => way * pixel <= way * one.end) ?? zones[zones.length - 1];
    const part = Math.max(0, (pixel - zone.start) / (zone.end - zone.start));
    return zone.log ? zone.from * (zone.to / zone.from) ** part : zone.from + part * (zone.to - zone.from);
  };
  const named = axis.ticks?.filter(([one]) => one >= narrow[0] && one <= narrow[1]);
  const room = Math.abs(end - start);
  const ticks = (named ?? ticksOf(zones, room / lane)).map(([one, text]) => [at(one), text]);
  if (lanes.zero !== null) ticks.unshift([lanes.zero, extent.negative ? "≤ 0" : "0"]);
  if (lanes.lost !== null) ticks.push([lanes.lost, extent.beyond < Infinity ? `> ${power(Math.floor(Math.log10(extent.beyond)))}` : "∞"]);
  const breaks = [...(lanes.zero === null ? [] : [start]), ...(split ? [middle] : []), ...(lanes.lost === null ? [] : [end])];
  return { at, value, ticks, breaks, lanes, split };
}

function share({ from, to, log }, value) {
  return log ? Math.log(value / from) / Math.log(to / from) : (value - from) / (to - from);
}

function categoryScale(names, start, end) {
  const step = (end - start) / names.length;
  const at = (place) => start + (place + 0.5) * step;
  const value = (pixel) => (pixel - start) / step - 0.5;
  return { at, value, ticks: names.map((name, place) => [at(place), name]), breaks: [], lanes: {}, step, split: false };
}

/** Return the values marked, each with its text; `room` is how many fit. */
function ticksOf(zones, room) {
  return zones.flatMap((zone) => {
    const fit = Math.max(2, Math.floor((zones.length > 1 ? (zone === zones[0] ? 1 - UPPER : UPPER) : 1) * room * 0.6));
    const values = zone.log ? logTicks(zone.from, zone.to, fit) : roundTicks(zone.from, zone.to, fit);
    return values.map((value) => [value, tickText(value)]);
  });
}

function logTicks(low, high, most) {
  const [first, last] = [Math.ceil(Math.log10(low) - 1e-9), Math.floor(Math.log10(high) + 1e-9)];
  if (last - first < 1) return roundTicks(low, high, most);
  const by = [1, 2, 3, 5, 10, 20, 50, 100, 200, 400].find((step) => step * most > last - first) ?? 800;
  const powers = [];
  for (let one = Math.ceil(first / by) * by; one <= last; one += by) powers.push(one);
  const factors = by === 1 && powers.length < 4 && 3 * powers.length <= 2 * most ? [1, 2, 5] : [1];
  return [first - 1, ...powers].flatMap((one) => factors.map((factor) => Number(`${factor}e${one}`)))
    .filter((value) => value >= low && value <= high);
}

function roundTicks(low, high, most) {
  const rough = (high - low) / Math.max(1, most);
  const unit = 10 ** Math.floor(Math.log10(rough));
  const step = unit * ([1, 2, 5, 10].find((factor) => factor * unit >= rough) ?? 10);
  const values = [];
  for (let place = Math.ceil(low / step - 1e-9); place * step <= high + 1e-9 * step && values.length < 50; place += 1) {
    values.push(Number((place * step).toPrecision(12)));
  }
  return values;
}
