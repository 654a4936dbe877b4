// The steps of one message.
import type { Message } from "@holdfast-dev/holdfast";
import { excerpt, lineOf } from "../message.js";
import { el, setText } from "./dom.js";

type State = "done" | "running" | "failed" | "waiting";

const maxLine = 120;

const spoken: Record<State, string> = { done: "done", running: "running", failed: "failed", waiting: "not yet" };

interface Row {
  readonly item: HTMLLIElement;
  readonly state: HTMLElement;
  readonly output: HTMLElement;
}

export class Checklist {
  readonly element: HTMLOListElement = el("ol", { class: "steps" });
  readonly #rows: readonly Row[];
  readonly #recovered: number;

  /** `recovered`: how many steps were in the log before this page. */
  constructor(steps: readonly string[], recovered: number) {
    this.#recovered = recovered;
    this.#rows = steps.map((name) => {
      const state = el("span", { class: "sr-only" });
      const output = el("bdi", { class: "output", dir: "auto" });
      const item = el("li", {}, el("span", { class: "mark", "aria-hidden": "true" }), el("span", { class: "name" }, name), state, output);
      this.element.append(item);
      return { item, state, output };
    });
  }

  /** `active`: whether somebody is working on the message now. */
  update(message: Message, active: boolean): void {
    const next = (message.steps.at(-1)?.index ?? -1) + 1;
    for (const [index, row] of this.#rows.entries()) {
      const step = message.steps.find((done) => done.index === index);
      const state = step !== undefined ? "done" : index !== next ? "waiting" : message.status === "failed" ? "failed" : active ? "running" : "waiting";
      row.item.dataset["state"] = state;
      setText(row.state, `, ${spoken[state]}`);
      setText(row.output, step === undefined ? (state === "running" ? "working…" : "") : excerpt(lineOf(step.output), maxLine));
      if (state === "running") row.item.setAttribute("aria-current", "step");
      else row.item.removeAttribute("aria-current");
      row.item.classList.toggle("recovered", step !== undefined && index < this.#recovered);
    }
  }
}
