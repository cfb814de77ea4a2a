/** Elements. Text becomes text nodes and nothing else, so no text of a server or a file is ever markup. */

/**
 * Make an element. `attributes` are set by name; false, null and undefined leave one out, true makes it empty.
 * `on` holds listeners by their events. Children are nodes or texts; null and false are left out.
 */
export function element(name, attributes = {}, ...children) {
  const created = document.createElement(name);
  const { on = {}, ...plain } = attributes;
  for (const [key, value] of Object.entries(plain)) {
    if (value === true) created.setAttribute(key, "");
    else if (value !== false && value != null) created.setAttribute(key, String(value));
  }
  for (const [event, listener] of Object.entries(on)) created.addEventListener(event, listener);
  created.append(...nodes(children));
  return created;
}

/** Replace all children of an element. */
export function fill(parent, ...children) {
  parent.replaceChildren(...nodes(children));
  return parent;
}

/** Set the text of an element if it is another one, so that a screen reader reads changes only. */
export function setText(target, text) {
  if (target.textContent !== text) target.textContent = text;
}

/**
 * Show `items` as children of `parent`, one each, by their keys: a child that is there already is updated, so that it
 * keeps the focus. `make` returns `{ node, update }`.
 */
export function showEach(parent, shown, items, { key, make }) {
  const present = new Map();
  for (const item of items) {
    const name = key(item);
    const view = shown.get(name) ?? make(item);
    view.update(item);
    present.set(name, view);
  }
  for (const [name, view] of shown) if (!present.has(name)) view.node.remove();
  let place = parent.firstElementChild;
  for (const view of present.values()) {
    if (view.node === place) place = place.nextElementSibling;
    else parent.insertBefore(view.node, place);
  }
  return present;
}

function nodes(children) {
  return children.flat(Infinity).filter((child) => child != null && child !== false);
}
