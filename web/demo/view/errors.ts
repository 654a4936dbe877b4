// Failures, said in words that help.
import { type ErrorCode, HoldfastError } from "@holdfast-dev/holdfast";
import { button, byId, el, handOn } from "./dom.js";

interface Advice {
  readonly title: string;
  readonly text: string;
  /** `"reopen"`: nothing works until the store is open again. `"retry"`: the same may work now. */
  readonly way: "reopen" | "retry";
}

const advice: Partial<Record<ErrorCode, Advice>> = {
  store_reset: {
    title: "The browser has emptied the storage",
    text: "What this conversation held is gone, and nothing here has deleted it. You can start again with an empty one; “Keep my data” asks the browser not to do this.",
    way: "reopen",
  },
  quota_exceeded: {
    title: "There is no space left",
    text: "The browser has no room for more, and nothing was written. Free some space, or delete this conversation, and go on.",
    way: "retry",
  },
  blocked: {
    title: "The storage does not answer",
    text: "Another tab may hold it. Nothing is lost; close other tabs of this page, and try again.",
    way: "reopen",
  },
  instance_lost: {
    title: "The engine has stopped",
    text: "The WebAssembly of this page has died or could not be loaded. What was committed is stored.",
    way: "reopen",
  },
  closed: { title: "The store was closed", text: "What was committed is stored.", way: "reopen" },
  outcome_unknown: {
    title: "It is not known whether the last write has arrived",
    text: "The log will tell: going on reads it first, and repeats nothing that is in it.",
    way: "retry",
  },
  gap: {
    title: "A conversation has lost its end",
    text: "The browser has lost what was written to it last, and nothing here has deleted it. What is left goes on.",
    way: "retry",
  },
  storage_unavailable: {
    title: "This browser gives the page no storage",
    text: "A private window or a setting may forbid it. Nothing can be stored here as it is.",
    way: "reopen",
  },
};

const otherwise: Advice = { title: "Something went wrong", text: "What was committed is stored.", way: "reopen" };

export class Errors {
  readonly #bar = byId("error", HTMLElement);
  readonly #text = byId("error-text", HTMLElement);
  readonly #actions = byId("error-actions", HTMLElement);
  readonly #dismiss = byId("error-dismiss", HTMLButtonElement);

  constructor() {
    this.#dismiss.addEventListener("click", () => this.hide());
  }

  /** `retry` is what "Go on" does: given when something has stopped, which then cannot be dismissed. */
  show(error: unknown, retry?: () => void): void {
    const code = error instanceof HoldfastError ? error.code : undefined;
    const { title, text, way } = (code === undefined ? undefined : advice[code]) ?? otherwise;
    const message = error instanceof Error ? error.message : String(error);
    this.#say(title, text, el("p", { class: "detail" }, el("code", {}, code ?? "error"), el("bdi", { dir: "auto" }, message)));
    const goOn = (): void => {
      this.hide();
      retry?.();
    };
    const actions: HTMLButtonElement[] = [];
    if (way === "reopen") actions.push(button("Reopen", "primary", () => location.reload()));
    else if (retry !== undefined) actions.push(button("Go on", "primary", goOn));
    this.#offer(actions, retry === undefined);
  }

  /** Says what this page cannot do, and why. */
  explain(title: string, text: string): void {
    this.#say(title, text);
    this.#offer([], true);
  }

  #say(title: string, text: string, ...more: readonly Node[]): void {
    this.#text.replaceChildren(el("strong", {}, title), el("p", {}, text), ...more);
    this.#bar.hidden = false;
  }

  #offer(actions: readonly HTMLButtonElement[], dismissible: boolean): void {
    handOn(
      () => {
        this.#actions.replaceChildren(...actions);
        this.#dismiss.hidden = !dismissible;
      },
      () => actions[0] ?? this.#dismiss,
    );
  }

  hide(): void {
    handOn(() => (this.#bar.hidden = true));
  }
}
