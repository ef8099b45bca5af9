"use strict";
// What was found of the examples: columns, one place an example, and those of the chosen setting.

const study = JSON.parse(document.getElementById("data").textContent);
const places = study.examples.map((_, place) => place);
const REGION_MARKS = { easy: ["circle", COLORS[2]], ambiguous: ["diamond", COLORS[1]], hard: ["square", COLORS[4]] };

/** Return the measures of the chosen setting, by name; undefined where none was trained. */
function measures() {
  return study.measures[document.getElementById("setting").selectedIndex];
}

/** Return the name of a class, given its place; the place where it has none. */
function className(number) {
  return study.classes[number] ?? String(number);
}

/** Return the name of the class that an example is said to have, or what it should come to. */
function target(place) {
  return study.classified ? className(study.targets.label[place]) : study.targets.target[place];
}

/** Return which example it is, and its place in the user's file where that is known. */
function numbered(place, word = "example") {
  return `${word} ${study.examples[place]}${study.row_numbers.length ? ` (${study.counted} ${study.row_numbers[place]})` : ""}`;
}

function region(place) {
  return study.regions[measures().region[place]];
}

/** Return a measure of an example in words. */
function worded(name, place) {
  const value = measures()[name][place];
  if (name === "region") return region(place);
  if (name === "predicted") return className(value);
  if (name === "likely_error") return value ? "yes" : "no";
  return value === null ? "never" : String(value);
}

function spoken(name) {
  return name === "el2n" ? "EL2N" : name.replaceAll("_", " ");
}
