// Charts in SVG: stacked areas, lines, bars. Every chart has words for who does not see it, and a cross for who does.

const SVG = "http://www.w3.org/2000/svg";

export function el(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (value !== undefined && value !== false) node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

export function svg(name, attributes = {}, ...children) {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

const short = (value) => value.toFixed(1).replace(".0", "");

export function brief(value) {
  if (value >= 1e6) return `${short(value / 1e6)}M`;
  if (value >= 1e4) return `${(value / 1e3).toFixed(0)}k`;
  if (value >= 1e3) return `${short(value / 1e3)}k`;
  return value >= 100 || Number.isInteger(value) ? String(Math.round(value)) : value.toFixed(value >= 10 ? 1 : 2);
}

export const duration = (s) => (s >= 1 ? `${s.toFixed(s >= 10 ? 0 : 1)} s` : `${s * 1000 >= 10 ? Math.round(s * 1000) : (s * 1000).toFixed(1)} ms`);

function nice(most) {
  if (!(most > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(most));
  return [1, 2, 2.5, 5, 10].map((step) => step * power).find((step) => step >= most);
}

// series: [{name, kind, values}], one value a tick; null is a gap. stacked: on top of each other, as areas.
export function plot(series, { title, format = brief, stacked = false, most, height = 190, size = 720, seconds = 2 }) {
  const width = matchMedia("(max-width: 640px)").matches ? 340 : size, left = 46, bottom = 20, inner = width - left - 6, tall = height - bottom - 8;
  const count = series[0].values.length;
  const tops = [];
  let base = new Array(count).fill(0);
  const layers = series.map((one) => {
    const top = stacked ? one.values.map((value, i) => base[i] + (value || 0)) : one.values;
    const layer = { ...one, top, under: base };
    if (stacked) base = top;
    tops.push(...top.filter((value) => value !== null));
    return layer;
  });
  const ceiling = most ?? nice(Math.max(0, ...tops));
  const x = (i) => left + (count < 2 ? inner : (i / (count - 1)) * inner);
  const y = (value) => 8 + tall - (Math.min(value, ceiling) / ceiling) * tall;
  const drawing = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", tabindex: "0", "aria-label": title });
  for (const part of [0, 0.5, 1]) {
    const at = y(ceiling * part);
    const label = svg("text", { x: left - 7, y: at + 4, "text-anchor": "end" }, format(ceiling * part));
    drawing.append(svg("line", { class: "axis", x1: left, x2: width - 6, y1: at, y2: at }), label);
  }
  const minutes = Math.round((count * seconds) / 60);
  for (const [part, text, anchor] of [[0, `${minutes} min ago`, "start"], [0.5, `${minutes / 2} min`, "middle"], [1, "now", "end"]])
    drawing.append(svg("text", { x: left + inner * part, y: height - 4, "text-anchor": anchor }, text));
  for (const layer of layers) drawing.append(svg("path", { class: `${stacked ? "fill" : "line"} ${layer.kind}`, d: stacked ? area(layer, x, y) : path(layer.top, x, y) }));
  const box = el("div", { class: "plot" }, drawing);
  crosshair(box, drawing, layers, { x, format, count, width, height, left, inner, seconds });
  return box;
}

function path(values, x, y) {
  let d = "", pen = false;
  values.forEach((value, i) => {
    if (value === null) { pen = false; return; }
    d += `${pen ? "L" : "M"}${x(i).toFixed(1)} ${y(value).toFixed(1)}`;
    pen = true;
  });
  return d || "M0 0";
}

function area({ top, under }, x, y) {
  const up = top.map((value, i) => `${x(i).toFixed(1)} ${y(value).toFixed(1)}`);
  const down = under.map((value, i) => `${x(i).toFixed(1)} ${y(value).toFixed(1)}`).reverse();
  return `M${up.join("L")}L${down.join("L")}Z`;
}

function crosshair(box, drawing, layers, { x, format, count, width, height, left, inner, seconds }) {
  const line = svg("line", { class: "cross", y1: 8, y2: height - 20, visibility: "hidden" });
  const tip = el("div", { class: "tip", hidden: true });
  drawing.append(line);
  box.append(tip);
  let at = count - 1;
  const show = (i) => {
    at = Math.max(0, Math.min(count - 1, i));
    line.setAttribute("x1", x(at)); line.setAttribute("x2", x(at)); line.setAttribute("visibility", "visible");
    const ago = Math.round((count - 1 - at) * seconds);
    const said = layers.map((layer) => `${layer.name}  ${layer.values[at] === null ? "–" : format(layer.values[at] || 0)}`);
    tip.textContent = [ago ? `${ago} s ago` : "now", ...said.reverse()].join("\n");
    tip.hidden = false;
    const share = Math.min(0.86, Math.max(0.14, x(at) / width));
    tip.style.left = `${share * 100}%`;
    tip.style.top = "6px";
  };
  const hide = () => { line.setAttribute("visibility", "hidden"); tip.hidden = true; };
  drawing.addEventListener("pointermove", (event) => {
    const frame = drawing.getBoundingClientRect();
    show(Math.round((((event.clientX - frame.left) / frame.width) * width - left) / inner * (count - 1)));
  });
  drawing.addEventListener("pointerleave", hide);
  drawing.addEventListener("blur", hide);
  drawing.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1, PageUp: -15, PageDown: 15 }[event.key];
    if (step) { event.preventDefault(); show(at + step); }
  });
}

export function spark(values, kind) {
  const width = 160, height = 30, most = Math.max(...values.map((value) => value || 0)) || 1;
  const x = (i) => (i / Math.max(1, values.length - 1)) * width, y = (value) => height - 2 - (value / most) * (height - 4);
  const filled = values.map((value) => value || 0);
  return svg("svg", { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", "aria-hidden": "true" },
    svg("path", { class: `fill pale ${kind}`, d: area({ top: filled, under: filled.map(() => 0) }, x, y) }),
    svg("path", { class: `line ${kind}`, "vector-effect": "non-scaling-stroke", d: path(filled, x, y) }));
}

// parts: [[amount, kind]]; `most` is the whole width.
export function bar(parts, most, title) {
  const drawing = svg("svg", { viewBox: "0 0 1000 16", preserveAspectRatio: "none", role: "img", "aria-label": title });
  drawing.append(svg("rect", { class: "fill track", width: 1000, height: 16, rx: 4 }));
  let from = 0;
  for (const [amount, kind] of parts) {
    const wide = most ? Math.min(1000 - from, (amount / most) * 1000) : 0;
    if (wide > 0) drawing.append(svg("rect", { class: `fill ${kind}`, x: from, width: Math.max(wide, 3), height: 16, rx: 4 }));
    from += wide;
  }
  return drawing;
}

// A span of time with a mark for now: from, to and now in milliseconds.
export function span(from, to, kind, title, end) {
  const now = Date.now(), begin = Math.min(from, now), wide = Math.max(to, now) - begin || 1;
  const at = (moment) => 4 + ((moment - begin) / wide) * 592;
  return svg("svg", { viewBox: "0 0 600 34", role: "img", "aria-label": title },
    svg("rect", { class: "fill track", x: at(from), y: 4, width: Math.max(2, at(to) - at(from)), height: 10, rx: 5 }),
    svg("rect", { class: `fill ${kind}`, x: at(from), y: 4, width: Math.max(2, at(Math.min(now, to)) - at(from)), height: 10, rx: 5 }),
    svg("line", { class: "cross", x1: at(now), x2: at(now), y1: 0, y2: 19 }),
    svg("text", { x: at(from), y: 31 }, day(from)), svg("text", { x: at(to), y: 31, "text-anchor": "end" }, end === "open" ? "no end" : day(to)));
}

export const day = (ms) => new Date(ms).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });

export function legend(entries) {
  return el("ul", { class: "legend" }, ...entries.map(([name, kind, value]) => el("li", { class: kind }, name, value === undefined ? "" : el("b", {}, value))));
}
