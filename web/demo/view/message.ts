// One message: what was said, the steps under it, and the answer.
import type { Message } from "@holdfast-dev/holdfast";
import { answerOf, compact, shortId, textOf } from "../message.js";
import type { AgentStep } from "../process.js";
import { Checklist } from "./checklist.js";
import { button, el, setText, time } from "./dom.js";

/** What can be done with a message, from any tab. */
export interface Actions {
  cancel(id: string): void;
  retry(id: string): void;
}

export class MessageView {
  readonly element: HTMLLIElement;
  readonly #checklist: Checklist;
  readonly #work: HTMLElement;
  readonly #status: HTMLElement = el("p", { class: "status" });
  /** The answer as far as it has come. */
  readonly #partial: HTMLElement = el("div", { class: "bubble partial", dir: "auto", hidden: "" });
  readonly #steps: number;
  readonly #recovered: number;
  readonly #actions: Actions;
  #shown: { readonly message: Message; readonly active: boolean } | undefined;

  constructor(message: Message, steps: readonly AgentStep[], recovered: number, actions: Actions) {
    this.#actions = actions;
    this.#steps = steps.length;
    this.#recovered = recovered;
    this.#checklist = new Checklist(steps, recovered);
    this.#work = el("div", { class: "agent" });
    const meta = el("p", { class: "meta" }, time(message.receivedAt, "minutes"), el("code", {}, shortId(message.id)));
    const said = el("div", { class: "bubble person", dir: "auto" }, textOf(message.body));
    this.element = el("li", { class: "message" }, el("div", { class: "said" }, el("span", { class: "sr-only" }, "You said: "), said, meta), this.#work);
    this.#work.append(el("div", { class: "card" }, this.#status, this.#checklist.element), this.#partial);
  }

  /** `active`: whether it is the one that the agent is working on. */
  update(message: Message, active: boolean): void {
    const before = this.#shown;
    if (before?.message === message && before.active === active) return;
    this.#shown = { message, active };
    this.#checklist.update(message, active);
    // Of a message that waits in the queue there is nothing to see yet.
    this.#checklist.element.hidden = !active && message.steps.length === 0 && message.status === "received";
    this.element.dataset["status"] = message.status;
    if (message.status === "finished") {
      if (before?.message.status !== "finished") this.#finish(message);
      return;
    }
    this.#status.replaceChildren(...this.#describe(message, active));
    const partial = message.openSteps.flatMap(({ chunks }) => chunks).map(compact).join("");
    this.#partial.hidden = partial === "";
    setText(this.#partial, partial);
  }

  #describe(message: Message, active: boolean): (Node | string)[] {
    const again = button("Try again", "small", () => this.#actions.retry(message.id));
    if (message.status === "cancelled") return [el("strong", {}, "Cancelled. "), again];
    if (message.status === "failed") return [el("strong", {}, "This step has failed. "), el("bdi", { dir: "auto" }, message.error ?? ""), again];
    const before = this.#recovered === 0 ? "" : `, ${this.#recovered} of ${this.#steps} steps recovered`;
    return [`${active ? "Working on it" : "Stored, and waiting"}${before} `, button("Cancel", "small", () => this.#actions.cancel(message.id))];
  }

  #finish(message: Message): void {
    const answer = el("div", { class: "bubble", dir: "auto" });
    setText(answer, answerOf(message));
    const steps = el("details", { class: "history" }, el("summary", {}, `${this.#steps} steps, each stored once`), this.#checklist.element);
    this.#work.replaceChildren(el("span", { class: "sr-only" }, "The agent said: "), answer, steps);
  }
}
