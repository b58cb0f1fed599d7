// The reasons for a recommendation, drawn from what was used to the item.

import { element, shape, shorten, signed } from "./dom.js";

const WIDTH = 640;
const ROW = 46;
const BOX = { width: 128, height: 26 };
const SHOWN = 6;

export function drawPaths(place, explained) {
  const paths = explained.paths.filter((path) => path.history_item);
  place.replaceChildren();
  if (!paths.length) {
    place.append(element("p", { class: "hint" },
      "Nothing of the history speaks for this item: it is here because many use such items."));
  } else {
    const picture = drawing(paths.slice(0, SHOWN), explained.item);
    place.append(element("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Paths" }, picture),
      listing(paths, explained));
  }
}

function drawing(paths, item) {
  const columns = [new Map(), new Map(), new Map(), new Map()];
  const edges = [];
  const node = (column, key, label, kind) => {
    if (!columns[column].has(key)) columns[column].set(key, { column, label, kind });
    return columns[column].get(key);
  };
  for (const path of paths) {
    const stops = [node(0, path.history_item, path.history_item, "history")];
    if (path.through && path.through !== path.history_item) {
      stops.push(node(1, path.through, path.through, "plain"));
    }
    const shared = path.shared ? path.shared.replace(/^[^/]*\//, "") : path.channel;
    stops.push(node(2, path.shared ?? path.channel, shared, "plain"));
    stops.push(node(3, item, item, "item"));
    for (let i = 1; i < stops.length; i += 1) {
      edges.push({ from: stops[i - 1], to: stops[i], value: path.contribution });
    }
  }
  const used = columns.filter((column) => column.size);
  const height = Math.max(2, ...used.map((column) => column.size)) * ROW + 16;
  used.forEach((column, number) => {
    const x = 8 + (number * (WIDTH - BOX.width - 16)) / (used.length - 1);
    [...column.values()].forEach((one, row) => {
      one.x = x;
      one.y = ((row + 0.5) * height) / column.size;
    });
  });
  const most = Math.max(...edges.map((edge) => Math.abs(edge.value)));
  return shape("svg", {
    class: "drawing wide", viewBox: `0 0 ${WIDTH} ${height}`, role: "img",
    "aria-label": `How what was used leads to ${item}; the list below says the same in words`,
  }, ...edges.map((edge) => line(edge, most)),
  ...columns.flatMap((column) => [...column.values()].map(box)));
}

function line({ from, to, value }, most) {
  const x = from.x + BOX.width;
  const middle = (x + to.x) / 2;
  return shape("path", {
    class: "edge",
    d: `M${x} ${from.y} C${middle} ${from.y} ${middle} ${to.y} ${to.x} ${to.y}`,
    "stroke-width": (0.75 + (3.5 * Math.abs(value)) / most).toFixed(2),
  });
}

function box(one) {
  return shape("g", { class: `${one.kind} boxed` },
    shape("title", {}, one.label),
    shape("rect", { x: one.x, y: one.y - BOX.height / 2, width: BOX.width, height: BOX.height, rx: 6 }),
    shape("text", { x: one.x + BOX.width / 2, y: one.y + 4, "text-anchor": "middle" },
      shorten(one.label, 19)));
}

function listing(paths, explained) {
  const rest = explained.paths.find((path) => !path.history_item);
  const rows = paths.map((path) => [path.contribution, path.path || path.channel]);
  if (rest) rows.push([rest.contribution, "everything else"]);
  rows.push([explained.base, "an item that nothing speaks for or against"]);
  rows.push([explained.score, "score, the sum"]);
  return element("ul", { class: "paths" },
    ...rows.map(([value, words]) => element("li", {}, element("b", {}, signed(value)), words)));
}

export function listWhatIf(place, explained) {
  if (!explained.what_if.length) return;
  place.append(
    element("h3", {}, "What if an edge were not there?"),
    element("div", { class: "scroll" }, element("table", {},
      element("thead", {}, element("tr", {}, element("th", {}, "without"),
        element("th", { class: "number" }, "score"), element("th", { class: "number" }, "change"))),
      element("tbody", {}, ...explained.what_if.map(({ edge, score }) =>
        element("tr", {}, element("td", {}, `${edge.relation} ${edge.node}`),
          element("td", { class: "number" }, score.toFixed(2)),
          element("td", { class: "number" }, signed(score - explained.score))))))));
}
