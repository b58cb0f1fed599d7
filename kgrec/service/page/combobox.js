// A search field with a list below it, by the combobox pattern of WAI-ARIA.

import { ask } from "./api.js";
import { element, shorten } from "./dom.js";

const WAIT = 150;
let count = 0;

export function makeSearch(place, label, type, chosen) {
  const id = `search-${(count += 1)}`;
  let nodes = [];
  let active = -1;
  let timer = 0;
  let latest = 0;

  const list = element("ul", { id: `${id}-list`, role: "listbox", "aria-label": label, hidden: true });
  const field = element("input", {
    id,
    type: "search",
    role: "combobox",
    placeholder: label,
    "aria-label": label,
    "aria-expanded": "false",
    "aria-controls": list.id,
    "aria-autocomplete": "list",
    oninput: () => {
      clearTimeout(timer);
      timer = setTimeout(search, WAIT);
    },
    onkeydown: onKey,
    onblur: () => setTimeout(close, 200),
  });
  place.replaceChildren(element("div", { class: "combo" }, field, list));

  async function search() {
    const words = field.value.trim();
    const number = (latest += 1);
    if (!words) return close();
    const query = new URLSearchParams({ q: words, limit: 8 });
    if (type()) query.set("type", type());
    let found = [];
    try {
      found = (await ask("GET", `search?${query}`)).nodes;
    } catch (error) {
      if (number === latest) show([], error.message);
      return;
    }
    if (number === latest) show(found, "nothing found");
  }

  function show(found, none) {
    nodes = found;
    active = found.length ? 0 : -1;
    list.replaceChildren(
      ...found.map((node, place) =>
        element("li", {
          id: `${id}-${place}`,
          role: "option",
          "aria-selected": String(place === active),
          onmousedown: (event) => event.preventDefault(),
          onclick: () => choose(place),
        }, node.id, node.text && node.text !== node.id
          ? element("small", {}, shorten(node.text, 90)) : null)),
    );
    if (!found.length) list.append(element("li", { class: "none", role: "option", "aria-disabled": "true" }, none));
    list.hidden = false;
    field.setAttribute("aria-expanded", "true");
    mark();
  }

  // An answer that is still on its way must not open the list again.
  function close() {
    clearTimeout(timer);
    latest += 1;
    list.hidden = true;
    nodes = [];
    active = -1;
    field.setAttribute("aria-expanded", "false");
    field.removeAttribute("aria-activedescendant");
  }

  function mark() {
    [...list.children].forEach((option, place) => {
      option.setAttribute("aria-selected", String(place === active));
      if (place === active) option.scrollIntoView({ block: "nearest" });
    });
    if (active >= 0) field.setAttribute("aria-activedescendant", `${id}-${active}`);
  }

  function choose(place) {
    const node = nodes[place];
    if (!node) return;
    field.value = "";
    close();
    chosen(node);
  }

  function onKey(event) {
    if (event.key === "Enter") {
      event.preventDefault();
      choose(active);
    } else if (event.key === "Escape") {
      close();
    } else if (nodes.length && (event.key === "ArrowDown" || event.key === "ArrowUp")) {
      event.preventDefault();
      active = (active + (event.key === "ArrowDown" ? 1 : -1) + nodes.length) % nodes.length;
      mark();
    }
  }

  return field;
}
