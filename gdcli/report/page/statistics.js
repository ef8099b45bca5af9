"use strict";
// Medians and quartiles over seeds, of numbers that may be infinite.

/** Return a quantile of numbers, interpolated; infinite between two infinities. */
function quantile(values, share) {
  const ordered = [...values].sort((a, b) => a - b);
  const place = share * (ordered.length - 1);
  const low = ordered[Math.floor(place)];
  const high = ordered[Math.ceil(place)];
  return low === high ? low : low + (place - Math.floor(place)) * (high - low);
}

/** Return the median and the quartiles of one number or more; NaN counts as infinite. */
function spread(values) {
  const known = values.map((value) => (Number.isNaN(value) ? Infinity : value));
  const [low, median, high] = [0.25, 0.5, 0.75].map((share) => quantile(known, share));
  return { low, median, high, count: known.length };
}

/** Return the spread of a metric over trials at the end; null where all failed. */
function finalSpread(group, metric) {
  const values = group.map((trial) => final(trial, metric)).filter((value) => value !== null);
  return values.length ? spread(values) : null;
}

/** Return the trials of a group with the lowest median training loss: one setting, one rate. */
function lowest(group) {
  const cells = [...grouped(group, (trial) => `${run.setting[trial]} ${columns.get("lr")[trial]}`).values()];
  const loss = (cell) => finalSpread(cell, "train_loss")?.median ?? Infinity;
  return cells.reduce((best, cell) => (loss(cell) < loss(best) ? cell : best));
}

/** Return settings with their trials, that with the lowest training loss first. */
function bestFirst(settings) {
  const loss = new Map(settings.map((one) => [one, finalSpread(lowest(one[1]), "train_loss")?.median ?? Infinity]));
  return settings.sort((a, b) => (loss.get(a) === loss.get(b) ? 0 : loss.get(a) - loss.get(b)));
}

/**
 * Return the spread of trials' curves at each epoch of the longest one.
 *
 * Between its points a trial counts with the last of them; after its end with its last value, or
 * with Infinity where it diverged.
 */
function band(group, metric) {
  const known = group.map((trial) => ({ trial, ...curve(trial, metric) })).filter((one) => one.epochs);
  const last = (one) => one.epochs[one.epochs.length - 1];
  const longest = known.reduce((best, one) => (last(one) > last(best) ? one : best), known[0]);
  if (!longest) return [];
  const held = known.map((one) => {
    const after = LOST.has(one.trial) ? Infinity : one.values[one.values.length - 1];
    let at = 0;
    return longest.epochs.map((epoch) => {
      while (at + 1 < one.epochs.length && one.epochs[at + 1] <= epoch) at += 1;
      return epoch > last(one) ? after : one.values[at];
    });
  });
  return longest.epochs.map((x, place) => ({ x, ...spread(held.map((values) => values[place])) }));
}
