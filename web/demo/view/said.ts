// A question: what was said, which can be edited in place, and its other versions.
import type { Message } from "@holdfast-dev/holdfast";
import { textOf } from "../message.js";
import { button, el, isComposing, time, typing, wellFormed } from "./dom.js";

/** Sees another version of a question: the next one (1), or the one before (-1). */
export type Turn = (to: Message, by: number) => void;

export class Said {
  readonly element: HTMLElement;
  readonly #text: string;
  readonly #shown: readonly HTMLElement[];
  readonly #edit: HTMLButtonElement;
  readonly #store: (text: string) => Promise<void>;
  readonly #versions: HTMLElement;
  readonly #place: HTMLElement = el("span");
  readonly #before: HTMLButtonElement;
  readonly #next: HTMLButtonElement;
  #neighbours: { readonly before: Message | undefined; readonly next: Message | undefined } = { before: undefined, next: undefined };

  /** `store` stores another text in its place, as a version. It rejects if that could not be done. */
  constructor(message: Message, store: (text: string) => Promise<void>, turn: Turn) {
    this.#text = textOf(message.body);
    this.#store = store;
    this.#before = button("‹", "icon", () => this.#neighbours.before && turn(this.#neighbours.before, -1));
    this.#next = button("›", "icon", () => this.#neighbours.next && turn(this.#neighbours.next, 1));
    this.#before.setAttribute("aria-label", "Version before");
    this.#next.setAttribute("aria-label", "Next version");
    this.#versions = el("div", { class: "versions", role: "group", hidden: "" }, this.#before, this.#place, this.#next);
    this.#edit = button("Edit", "small quiet", () => this.#open());
    const bubble = el("div", { class: "bubble person", dir: "auto" }, this.#text);
    const under = el("div", { class: "under" }, this.#versions, this.#edit, el("p", { class: "meta" }, time(message.receivedAt, "minutes")));
    this.#shown = [bubble, under];
    this.element = el("div", { class: "said" }, el("span", { class: "sr-only" }, "You said: "), ...this.#shown);
  }

  update({ id }: Message, versions: readonly Message[]): void {
    const place = versions.findIndex((version) => version.id === id);
    this.#neighbours = { before: versions[place - 1], next: versions[place + 1] };
    this.#before.disabled = this.#neighbours.before === undefined;
    this.#next.disabled = this.#neighbours.next === undefined;
    this.#place.textContent = `${place + 1} / ${versions.length}`;
    this.#versions.setAttribute("aria-label", `Version ${place + 1} of ${versions.length}`);
    this.#versions.hidden = versions.length < 2;
  }

  focus(by: number): void {
    const [wanted, other] = by > 0 ? [this.#next, this.#before] : [this.#before, this.#next];
    (wanted.disabled ? other : wanted).focus();
  }

  /** Puts the text in a box. Enter sends it, Escape leaves it as it was. */
  #open(): void {
    const text = el("textarea", { rows: "1", maxlength: "20000", dir: "auto", "aria-label": "Edit the question" });
    text.value = this.#text;
    const send = el("button", { class: "small primary" }, "Send");
    const close = (): void => {
      form.remove();
      for (const element of this.#shown) element.hidden = false;
      if (document.activeElement === document.body) this.#edit.focus(); // unless it is where another branch is seen
    };
    const form = el("form", { class: "edit" }, text, el("div", { class: "choices" }, button("Leave", "small", close), send));
    const changed = typing(text, send);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      if (text.readOnly || send.disabled) return; // it is being sent, or empty
      text.readOnly = true;
      void this.#store(wellFormed(text.value)).then(close, () => {
        text.readOnly = false;
        text.focus();
      });
    });
    form.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || isComposing(event)) return;
      event.stopPropagation(); // it stops nothing
      close();
    });
    for (const element of this.#shown) element.hidden = true;
    this.element.append(form);
    changed();
    text.focus();
    text.setSelectionRange(text.value.length, text.value.length);
  }
}
