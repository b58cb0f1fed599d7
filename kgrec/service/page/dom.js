// Elements made of data, never of markup: what comes from the graph is only ever text.

const SVG = "http://www.w3.org/2000/svg";

export const byId = (id) => document.getElementById(id);

export function element(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

export function shape(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(made, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value != null) made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child != null));
  return made;
}

export const shorten = (text, length) =>
  text.length > length ? `${text.slice(0, length - 1)}…` : text;

export const signed = (number) => (number < 0 ? "−" : "+") + Math.abs(number).toFixed(2);

// A chip of each chosen thing; a click takes it away.
export function drawChips(list, chosen, name, changed) {
  list.replaceChildren(
    ...chosen.map((one) =>
      element("li", {}, element("button", {
        type: "button",
        "aria-label": `remove ${name(one)}`,
        onclick: () => {
          chosen.splice(chosen.indexOf(one), 1);
          drawChips(list, chosen, name, changed);
          changed();
        },
      }, name(one))),
    ),
  );
}
