// The page: somebody, what they would get, why, and what happens when an item arrives.

import { ask } from "./api.js";
import { drawAround } from "./around.js";
import { makeSearch } from "./combobox.js";
import { byId, drawChips, element, signed } from "./dom.js";
import { drawPaths, listWhatIf } from "./paths.js";

const state = { graph: null, user: null, history: [], filters: [], edges: [], item: null, tab: "why" };
const TABS = ["why", "around", "audience"];
let latest = 0;

function tell(error) {
  const message = byId("message");
  message.classList.remove("good");
  message.textContent = error.message ?? String(error);
  message.hidden = false;
}

function tellGood(words) {
  const message = byId("message");
  message.classList.add("good");
  message.textContent = words;
  message.hidden = false;
}

const quiet = () => { byId("message").hidden = true; };

function who() {
  const kind = new FormData(byId("who-form")).get("kind");
  if (kind === "user") return state.user ? { user: state.user } : null;
  return state.history.length ? { history: state.history.map((node) => node.id) } : null;
}

async function refresh() {
  const person = who();
  const number = (latest += 1);
  byId("list-hint").hidden = false;
  if (!person) {
    byId("list").replaceChildren();
    byId("detail").hidden = true;
    byId("list-hint").textContent = "Choose somebody to see what they would get.";
    return;
  }
  const where = {};
  for (const node of state.filters) (where[node.type] ??= []).push(node.id);
  const body = { ...person, n: Number(byId("length").value) || 10, where,
    diversity: Number(byId("diversity").value) };
  if (byId("only-cold").checked) body.cold = true;
  const answer = await ask("POST", "recommend", body);
  if (number !== latest) return;
  quiet();
  drawList(answer.recommendations, person);
}

function drawList(found, person) {
  const name = person.user ?? `somebody who used ${person.history.join(", ")}`;
  byId("list-hint").textContent = found.length ? `For ${name}` : `There is nothing for ${name}.`;
  byId("list").replaceChildren(...found.map((one) =>
    element("li", {}, element("button", {
      type: "button",
      "data-item": one.item,
      onclick: () => select(one).then(showDetail).catch(tell),
    },
    element("span", { class: "rank" }, String(one.rank)),
    element("span", { class: "name" }, one.item, one.cold ? element("span", { class: "cold" }, "new") : null),
    element("span", { class: "score", title: "log-odds that it is used" }, signed(one.score)),
    one.text ? element("span", { class: "text" }, one.text) : null))));
  const again = found.find((one) => one.item === state.item?.item) ?? found[0];
  if (again) select(again).catch(tell);
  else byId("detail").hidden = true;
}

async function select(one) {
  state.item = one;
  for (const button of document.querySelectorAll("#list button")) {
    button.setAttribute("aria-current", String(button.dataset.item === one.item));
  }
  byId("detail").hidden = false;
  byId("detail-title").replaceChildren(one.item, one.cold ? element("span", { class: "cold" }, "new") : "");
  byId("detail-text").textContent = one.text ?? "";
  await openTab(state.tab);
}

// Where the columns lie below each other, the detail is out of sight.
function showDetail() {
  const detail = byId("detail");
  if (detail.getBoundingClientRect().top > window.innerHeight * 0.8) detail.scrollIntoView();
}

async function openTab(name) {
  state.tab = name;
  for (const tab of TABS) {
    const chosen = tab === name;
    byId(`tab-${tab}`).setAttribute("aria-selected", String(chosen));
    byId(`tab-${tab}`).tabIndex = chosen ? 0 : -1;
    byId(`panel-${tab}`).hidden = !chosen;
  }
  const { item } = state.item;
  const panel = byId(`panel-${name}`);
  if (name === "why") await explain(panel, item);
  else if (name === "around") await drawAround(panel, state.graph.item, item, tell);
  else await listAudience(panel, item);
}

async function explain(panel, item) {
  const person = who();
  if (!person) {
    panel.replaceChildren(element("p", { class: "hint" }, "Choose somebody to see why they would get it."));
    return;
  }
  const explained = await ask("POST", "explain", { ...person, item, n: 8, what_if: state.item.cold ? 4 : 0 });
  if (state.item.item !== item) return;
  drawPaths(panel, explained);
  listWhatIf(panel, explained);
}

async function listAudience(panel, item) {
  const { audience } = await ask("POST", "audience", { item, n: 10 });
  if (state.item.item !== item) return;
  panel.replaceChildren(audience.length
    ? element("div", { class: "scroll" }, element("table", {},
      element("thead", {}, element("tr", {}, element("th", {}, state.graph.user),
        element("th", { class: "number" }, "place in their list"), element("th", { class: "number" }, "score"))),
      element("tbody", {}, ...audience.map((one) => element("tr", {},
        element("td", {}, one.user), element("td", { class: "number" }, String(one.rank)),
        element("td", { class: "number" }, signed(one.score)))))))
    : element("p", { class: "hint" }, "Nobody: all have used it."));
}

async function addItem(event) {
  event.preventDefault();
  const id = byId("new-id").value.trim();
  const text = byId("new-text").value.trim() || null;
  const edges = state.edges.map(({ relation, node, direction }) => ({ relation, node: node.id, direction }));
  await ask("PUT", "items", { items: [{ id, text, edges }] });
  state.tab = "audience";
  await refresh();
  tellGood(`${id} is in, and ranked beside all others.`);
  await select({ item: id, text, cold: true });
  showDetail();
  state.edges.length = 0;
  drawEdges();
  byId("new-form").reset();
  drawFacts();
}

const relationChosen = () => JSON.parse(byId("new-relation").value || "null");
const drawEdges = () =>
  drawChips(byId("new-chips"), state.edges, (edge) => `${edge.relation} ${edge.node.id}`, () => {});

async function drawFacts() {
  const graph = (state.graph = await ask("GET", "graph"));
  byId("graph-name").textContent = graph.name;
  byId("graph-facts").textContent =
    `${graph.nodes[graph.item].toLocaleString()} items of the type ${graph.item}, ` +
    `${graph.cold_items.toLocaleString()} of them new to everybody; ` +
    `${graph.nodes[graph.user].toLocaleString()} users`;
}

function makeForms() {
  const graph = state.graph;
  for (const span of document.querySelectorAll(".user-type")) span.textContent = graph.user;
  const joined = new Set();
  const relations = graph.relations.flatMap(({ name, head, tail }) => {
    const ways = [];
    if (head === graph.item) ways.push({ relation: name, type: tail, direction: "out", label: `${name} →` });
    if (tail === graph.item) ways.push({ relation: name, type: head, direction: "in", label: `← ${name}` });
    ways.forEach((way) => joined.add(way.type));
    return ways;
  });
  byId("filter-type").replaceChildren(...[...joined].map((type) => element("option", {}, type)));
  byId("new-relation").replaceChildren(...relations.map((way) =>
    element("option", { value: JSON.stringify(way) }, `${way.label} ${way.type}`)));
  byId("new-item").hidden = graph.read_only;
  const update = () => refresh().catch(tell);
  const userField = makeSearch(byId("user-search"), `Search a ${graph.user}`, () => graph.user, (node) => {
    state.user = node.id;
    userField.value = node.id;
    update();
  });
  makeSearch(byId("history-search"), `Add a ${graph.item} that was used`, () => graph.item, (node) => {
    if (!state.history.some((one) => one.id === node.id)) state.history.push(node);
    drawChips(byId("history-chips"), state.history, (one) => one.id, update);
    update();
  });
  makeSearch(byId("filter-search"), "Search a node", () => byId("filter-type").value, (node) => {
    state.filters.push(node);
    drawChips(byId("filter-chips"), state.filters, (one) => `${one.type} ${one.id}`, update);
    update();
  });
  makeSearch(byId("new-search"), "Search what it is joined with", () => relationChosen()?.type, (node) => {
    state.edges.push({ ...relationChosen(), node });
    drawEdges();
  });
  byId("who-form").addEventListener("change", () => {
    const isUser = new FormData(byId("who-form")).get("kind") === "user";
    byId("user-search").hidden = !isUser;
    byId("history-search").hidden = byId("history-chips").hidden = isUser;
    byId("diversity-shown").textContent = byId("diversity").value;
    update();
  });
  byId("who-form").addEventListener("submit", (event) => event.preventDefault());
  byId("new-form").addEventListener("submit", (event) => addItem(event).catch(tell));
  byId("history-chips").hidden = true;
  TABS.forEach((name, place) => {
    const tab = byId(`tab-${name}`);
    tab.addEventListener("click", () => openTab(name).catch(tell));
    tab.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!step) return;
      const next = TABS[(place + step + TABS.length) % TABS.length];
      byId(`tab-${next}`).focus();
      openTab(next).catch(tell);
    });
  });
}

drawFacts().then(makeForms).catch(tell);
