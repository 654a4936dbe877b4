// Makes elements. Text goes in as text nodes only, so nothing that was stored can become markup.

type Attributes = Readonly<Record<string, string>>;

export function el<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: readonly (Node | string)[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** The element of index.html with this id. */
export function byId<T extends HTMLElement>(id: string, type: new () => T): T {
  const element = document.getElementById(id);
  if (!(element instanceof type)) throw new Error(`index.html has no ${type.name} with the id ${id}`);
  return element;
}

/** Changes a text only where it differs, so that nothing is announced or selected anew. */
export function setText(element: Element, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

/** Shows these nodes, and keeps those that are there already, also those that grow: something in them may be selected. */
export function setNodes(parent: Element, nodes: readonly Node[]): void {
  const { childNodes } = parent;
  for (const [place, node] of nodes.entries()) {
    const before = childNodes[place];
    if (before === undefined) parent.append(node);
    else if (!becomes(before, node)) before.replaceWith(node);
  }
  while (childNodes.length > nodes.length) parent.lastChild?.remove();
}

/** Makes a node equal to another one, if only what is in it differs. Returns whether it is. */
function becomes(node: Node, wanted: Node): boolean {
  if (node instanceof Text && wanted instanceof Text) {
    if (!wanted.data.startsWith(node.data)) return false;
    node.appendData(wanted.data.slice(node.length)); // which leaves a selection as it is
    return true;
  }
  if (!(node instanceof Element) || !node.cloneNode().isEqualNode(wanted.cloneNode())) return false;
  setNodes(node, [...wanted.childNodes]);
  return true;
}

/** Makes a change. If what has the focus goes with it, `to` gets the focus, by default the place where one types. */
export function handOn(change: () => void, to: () => HTMLElement = () => byId("text", HTMLTextAreaElement)): void {
  const focused = document.activeElement;
  change();
  if (!(focused instanceof HTMLElement) || focused === document.body) return;
  if (document.activeElement !== focused && document.activeElement !== document.body) return; // somebody has it already
  if (focused.getClientRects().length === 0 || focused.matches(":disabled")) to().focus();
}

export function button(label: string, kind: string, pressed: () => void): HTMLButtonElement {
  const element = el("button", { type: "button", class: kind }, label);
  element.addEventListener("click", pressed);
  return element;
}

const svg = "http://www.w3.org/2000/svg";

/** A button with a picture, which is a path in a square of 16. It needs a name for those who do not see it. */
export function iconButton(path: string, kind: string, pressed: () => void): HTMLButtonElement {
  const line = document.createElementNS(svg, "path");
  line.setAttribute("d", path);
  const picture = document.createElementNS(svg, "svg");
  picture.setAttribute("viewBox", "0 0 16 16");
  picture.setAttribute("aria-hidden", "true");
  picture.append(line);
  const element = button("", `icon ${kind}`, pressed);
  element.append(picture);
  return element;
}

/** Whether a key belongs to an input method, which composes a word. Safari says so only by this code when the word is complete. */
export function isComposing(event: KeyboardEvent): boolean {
  return event.isComposing || event.keyCode === 229;
}

/** IndexedDB and UTF-8 hold no half characters; a paste can contain them. */
export function wellFormed(typed: string): string {
  return typed.toWellFormed().trim();
}

/** Lets Enter send what is typed, if there is something. Returns what is to be called when something else has changed the text. */
export function typing(text: HTMLTextAreaElement, send: HTMLButtonElement): () => void {
  const changed = (): void => {
    send.disabled = text.value.trim() === "";
    // Grows with its text, up to the limit in the style sheet.
    text.style.height = "auto";
    text.style.height = `${text.scrollHeight + text.offsetHeight - text.clientHeight}px`; // with its border
  };
  text.addEventListener("keydown", (event) => {
    // While an input method composes a word, Enter belongs to it.
    if (event.key !== "Enter" || event.shiftKey || isComposing(event)) return;
    event.preventDefault();
    text.form?.requestSubmit();
  });
  text.addEventListener("input", changed);
  return changed;
}

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const clockWithSeconds = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });

export function time(milliseconds: number, precision: "minutes" | "seconds"): HTMLTimeElement {
  const date = new Date(milliseconds);
  // A stored time can be any integer, and not every integer is a date.
  if (Number.isNaN(date.getTime())) return el("time", {}, "—");
  return el("time", { datetime: date.toISOString() }, (precision === "seconds" ? clockWithSeconds : clock).format(date));
}

/** Scrolls to the end after a change, if the end was in sight before it. Returns whether it was. */
export function keepAtEnd(scroller: HTMLElement, change: () => void): boolean {
  const atEnd = scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < 48;
  change();
  if (atEnd) scroller.scrollTop = scroller.scrollHeight;
  return atEnd;
}
