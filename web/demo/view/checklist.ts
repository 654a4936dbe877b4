// The steps of one message.
import type { Planned } from "../agent/agent.js";
import { excerpt } from "../message.js";
import type { Part } from "../progress.js";
import { el, setText } from "./dom.js";

type State = Exclude<Part["state"], "next"> | "running";

const maxLine = 120;

const spoken: Record<State, string> = { done: "done", failed: "failed", skipped: "skipped", asking: "asks you", running: "running", later: "not yet" };

interface Row {
  readonly item: HTMLLIElement;
  readonly state: HTMLElement;
  readonly output: HTMLElement;
}

export class Checklist {
  readonly element: HTMLOListElement = el("ol", { class: "steps" });
  readonly #rows: readonly Row[];
  readonly #recovered: number;

  /** `recovered`: how many of the steps had been passed before this page. */
  constructor(plan: readonly Planned[], recovered: number) {
    this.#recovered = recovered;
    this.#rows = plan.map(({ name }) => {
      const state = el("span", { class: "sr-only" });
      const output = el("bdi", { class: "output", dir: "auto" });
      const item = el("li", {}, el("span", { class: "mark", "aria-hidden": "true" }), el("span", { class: "name" }, name), state, output);
      this.element.append(item);
      return { item, state, output };
    });
  }

  /** `active`: whether somebody is working on the message now. */
  update(parts: readonly Part[], active: boolean): void {
    for (const [index, { item, state, output }] of this.#rows.entries()) {
      const part = parts[index];
      if (part === undefined) continue;
      const shown: State = part.state !== "next" ? part.state : active ? "running" : "later";
      item.dataset["state"] = shown;
      setText(state, `, ${spoken[shown]}`);
      setText(output, excerpt(shown === "running" && part.line === "" ? "working…" : part.line, maxLine));
      if (shown === "running" || shown === "asking") item.setAttribute("aria-current", "step");
      else item.removeAttribute("aria-current");
      item.classList.toggle("recovered", index < this.#recovered);
    }
  }
}
