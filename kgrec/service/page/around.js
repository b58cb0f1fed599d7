// The neighbourhood of a node, which grows where it is clicked.

import { ask } from "./api.js";
import { element, shape, shorten } from "./dom.js";

const HEIGHT = 460;
const LEAST_WIDTH = 320;
const MOST_WIDTH = 800;
const FIRST = 14;
const MORE = 8;
const STEPS = 220;

export async function drawAround(place, type, id, show) {
  // as wide as there is room for, so that the names are as large as other text
  const size = {
    width: Math.min(MOST_WIDTH, Math.max(LEAST_WIDTH, place.clientWidth)),
    height: HEIGHT,
  };
  const nodes = new Map();
  const edges = new Map();
  const key = (node) => `${node.type}/${node.id}`;
  const hint = element("p", { class: "hint", "aria-live": "polite" });
  const picture = shape("svg", {
    class: "drawing", viewBox: `0 0 ${size.width} ${size.height}`, role: "group",
    "aria-label": `Neighbourhood of ${id}`,
  });
  place.replaceChildren(picture, hint);

  function add(node, near) {
    const name = key(node);
    if (!nodes.has(name)) {
      const angle = nodes.size * 2.4;
      const radius = near ? 60 : 0;
      nodes.set(name, {
        ...node,
        x: (near?.x ?? size.width / 2) + radius * Math.cos(angle),
        y: (near?.y ?? size.height / 2) + radius * Math.sin(angle),
        open: false,
      });
    }
    return nodes.get(name);
  }

  async function grow(kind, name, limit) {
    const query = new URLSearchParams({ type: kind, id: name, limit });
    const found = await ask("GET", `neighbourhood?${query}`);
    const middle = add(found.node);
    middle.open = true;
    let fresh = 0;
    for (const tie of found.ties) {
      const before = nodes.size;
      const other = add(tie.node, middle);
      fresh += nodes.size - before;
      const ends = tie.outwards ? [middle, other] : [other, middle];
      edges.set(`${key(ends[0])} ${tie.relation} ${key(ends[1])}`, { ends, relation: tie.relation });
    }
    const left = found.total - found.ties.length;
    hint.textContent = `${name}: ${fresh} more ${fresh === 1 ? "node" : "nodes"}` +
      `${left > 0 ? `, and ${left} edges that are not shown` : ""}. ` +
      "Click a node, or press Enter on it, to see what it is joined with.";
    settle([...nodes.values()], [...edges.values()], size);
    draw(key(middle));
  }

  function draw(focused) {
    picture.replaceChildren(
      ...[...edges.values()].map(({ ends: [from, to], relation }) => shape("g", {},
        shape("line", { class: "edge", x1: from.x, y1: from.y, x2: to.x, y2: to.y }),
        shape("title", {}, `${from.id} ${relation} ${to.id}`))),
      ...relationLabels([...edges.values()]),
      ...[...nodes.values()].map((node) => {
        const open = () => grow(node.type, node.id, MORE).catch(show);
        return shape("g", {
          class: `${node.cold === null ? "other" : "item"}${node.cold ? " cold-node" : ""}${node.open ? " centre" : ""}`,
          role: "button",
          tabindex: 0,
          "data-key": key(node),
          "aria-label": `${node.type} ${node.id}${node.cold ? ", new" : ""}: show what it is joined with`,
          onclick: open,
          onkeydown: (event) => {
            if (event.key !== "Enter" && event.key !== " ") return;
            event.preventDefault();
            open();
          },
        },
        shape("title", {}, `${node.type} ${node.id}${node.text ? `\n${node.text}` : ""}`),
        shape("circle", { cx: node.x, cy: node.y, r: node.open ? 10 : 7 }),
        shape("text", { x: node.x, y: node.y - 12, "text-anchor": "middle" }, shorten(node.id, 20)));
      }),
    );
    if (document.activeElement === document.body) {
      picture.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus();
    }
  }

  await grow(type, id, FIRST);
}

// The name of each relation once a fan, in the middle of its first edge.
function relationLabels(edges) {
  const told = new Set();
  return edges.flatMap(({ ends: [from, to], relation }) => {
    const fan = `${relation} ${from.open ? `${from.type}/${from.id}` : `${to.type}/${to.id}`}`;
    if (told.has(fan)) return [];
    told.add(fan);
    return [shape("text", {
      class: "relation", "text-anchor": "middle", x: (from.x + to.x) / 2, y: (from.y + to.y) / 2 + 3,
    }, relation)];
  });
}

// Push all nodes apart and pull those with an edge together (Fruchterman and Reingold, 1991).
function settle(nodes, edges, size) {
  const ideal = 0.72 * Math.sqrt((size.width * size.height) / Math.max(nodes.length, 6));
  for (let step = 0; step < STEPS; step += 1) {
    const most = 24 * (1 - step / STEPS) + 0.5;
    const moves = nodes.map(() => [0, 0]);
    const number = new Map(nodes.map((node, place) => [node, place]));
    for (let i = 0; i < nodes.length; i += 1) {
      for (let j = 0; j < i; j += 1) {
        const dx = nodes[i].x - nodes[j].x || 0.1;
        const dy = nodes[i].y - nodes[j].y || 0.1;
        const force = (ideal * ideal) / (dx * dx + dy * dy);
        push(moves, i, j, dx * force, dy * force);
      }
    }
    for (const { ends: [from, to] } of edges) {
      const dx = from.x - to.x;
      const dy = from.y - to.y;
      const force = Math.hypot(dx, dy) / ideal;
      push(moves, number.get(from), number.get(to), -dx * force, -dy * force);
    }
    nodes.forEach((node, place) => {
      const [dx, dy] = moves[place];
      const length = Math.hypot(dx, dy) || 1;
      const scale = Math.min(length, most) / length;
      node.x = Math.min(size.width - 58, Math.max(58, node.x + dx * scale));
      node.y = Math.min(size.height - 16, Math.max(26, node.y + dy * scale));
    });
  }
}

function push(moves, i, j, dx, dy) {
  moves[i][0] += dx;
  moves[i][1] += dy;
  moves[j][0] -= dx;
  moves[j][1] -= dy;
}
