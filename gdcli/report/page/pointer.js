"use strict";
// What the pointer does on a chart: it reads a point, and a drag zooms; and the legend, which hides.

const tip = document.createElement("div");
tip.className = "tip";
tip.hidden = true;
document.body.append(tip);

function hideTip() {
  tip.hidden = true;
}

/** Return the mark or square nearest to a pixel, where it is near enough. */
function nearest({ hits, layers, x, y }, [across, down]) {
  const squares = layers.find(({ kind }) => kind === "cells");
  if (squares) {
    const [column, row] = [Math.round(x.value(across)), Math.round(y.value(down))];
    const place = squares.cells.findIndex((cell) => cell.row === row && cell.column === column);
    return place < 0 ? null : { layer: squares, place, at: [x.at(column), y.at(row)] };
  }
  let [best, least] = [null, NEAR ** 2];
  for (const hit of hits) {
    const distance = (hit.at[0] - across) ** 2 + (hit.at[1] - down) ** 2;
    if (distance < least) [best, least] = [hit, distance];
  }
  const ground = layers.find(({ kind }) => kind === "ground");
  return best ?? (ground ? { layer: ground, place: [x.value(across), y.value(down)], at: [across, down] } : null);
}

/** Make a panel answer the pointer. */
function watch(panel) {
  const { canvas, view, frame } = panel;
  const ring = svg("circle", { class: "ring", r: 6, visibility: "hidden" });
  const rectangle = svg("rect", { class: "window", visibility: "hidden" });
  canvas.append(rectangle, ring);
  let from = null;
  const pixel = (event) => {
    const box = canvas.getBoundingClientRect();
    const factor = canvas.viewBox.baseVal.width / box.width;
    return [(event.clientX - box.left) * factor, (event.clientY - box.top) * factor];
  };
  const leave = () => {
    ring.setAttribute("visibility", "hidden");
    hideTip();
    view.chart.onLeave?.();
  };
  canvas.addEventListener("pointermove", (event) => {
    const here = pixel(event);
    if (from) {
      const [left, right] = [from[0], here[0]].sort((a, b) => a - b);
      const [above, below] = [from[1], here[1]].sort((a, b) => a - b);
      for (const [name, value] of Object.entries({ x: left, y: above, width: right - left, height: below - above, visibility: "visible" })) rectangle.setAttribute(name, value);
      return;
    }
    const hit = nearest(panel, here);
    if (!hit) {
      leave();
      return;
    }
    const [x, y] = hit.at;
    ring.setAttribute("cx", x);
    ring.setAttribute("cy", y);
    ring.setAttribute("visibility", Array.isArray(hit.place) ? "hidden" : "visible");
    tip.textContent = [hit.layer.name, hit.layer.say(hit.place)].filter(Boolean).join("\n");
    tip.hidden = false;
    tip.style.left = `${Math.max(4, Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 4))}px`;
    tip.style.top = `${event.clientY + 18 + tip.offsetHeight > innerHeight ? event.clientY - tip.offsetHeight - 12 : event.clientY + 18}px`;
    view.chart.onPoint?.(hit);
  });
  canvas.addEventListener("pointerleave", leave);
  canvas.addEventListener("click", (event) => {
    const hit = nearest(panel, pixel(event));
    if (hit) view.chart.onPick?.(hit);
  });
  canvas.addEventListener("dblclick", () => zoom(view, null));
  canvas.addEventListener("pointerdown", (event) => {
    if (event.pointerType !== "mouse" || event.button !== 0 || panel.x.step || panel.y.step) return;
    from = pixel(event);
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointerup", (event) => {
    const [start, end] = [from, pixel(event)];
    from = null;
    rectangle.setAttribute("visibility", "hidden");
    if (!start || Math.abs(end[0] - start[0]) < 8) return;
    const held = (value, low, size) => Math.min(low + size, Math.max(low, value));
    const side = (scale, axis, low, size) => [start[axis], end[axis]].map((one) => scale.value(held(one, low, size))).sort((a, b) => a - b);
    const tall = Math.abs(end[1] - start[1]) >= 8;
    zoom(view, { x: side(panel.x, 0, frame.x, frame.width), ...(tall ? { y: side(panel.y, 1, frame.y, frame.height) } : view.zoom?.y ? { y: view.zoom.y } : {}) });
  });
}

function zoom(view, ranges) {
  view.zoom = ranges;
  render(view);
}

/** Make the legend of a chart: what each colour, dash and mark is; a button of it hides. */
function legend(view, some) {
  const { host, chart, hidden } = view;
  const box = host.nextElementSibling?.classList.contains("legend") ? host.nextElementSibling : document.createElement("div");
  box.className = "legend";
  host.after(box);
  const parts = [];
  if (some && chart.legendTitle) parts.push(element("span", chart.legendTitle));
  for (const item of some ? chart.legend ?? [] : []) {
    const entry = element(item.key === undefined ? "span" : "button", "");
    entry.append(sample(item), element("span", item.name));
    if (item.key !== undefined) {
      entry.type = "button";
      entry.ariaPressed = String(!hidden.has(item.key));
      entry.title = "hide or show";
      entry.addEventListener("click", () => {
        hidden[hidden.has(item.key) ? "delete" : "add"](item.key);
        render(view);
        box.querySelectorAll("button")[[...chart.legend].filter(({ key }) => key !== undefined).indexOf(item)]?.focus();
      });
    }
    parts.push(entry);
  }
  if (some && chart.bar) parts.push(bar(chart.bar));
  if (view.zoom) {
    const whole = Object.assign(element("button", "whole chart"), { type: "button" });
    whole.addEventListener("click", () => zoom(view, null));
    parts.push(whole);
  }
  box.replaceChildren(...parts);
}

function sample({ color, dash, symbol, open, width = 2, line = true }) {
  const drawn = [];
  if (line) drawn.push(svg("path", { d: "M0,7H28", style: { stroke: color, strokeWidth: width, strokeDasharray: dash ?? "none" } }));
  if (symbol) drawn.push(svg("path", { d: markPath(symbol, 14, 7, 4.5), style: markStyle({ color, symbol, open }) }));
  return svg("svg", { viewBox: "0 0 28 14", width: 28, height: 14, "aria-hidden": "true" }, ...drawn);
}

/** Return a bar of colours with what some of them mean. */
function bar({ title, colors, ticks }) {
  const made = element("span", "");
  made.className = "bar";
  const strip = element("span", "");
  strip.className = "strip";
  strip.style.background = `linear-gradient(to right, ${colors.join(", ")})`;
  const texts = ticks.map(([at, text]) => {
    const mark = element("span", text);
    mark.style.left = `${100 * at}%`;
    return mark;
  });
  strip.append(...texts);
  made.append(element("span", title), strip);
  return made;
}
