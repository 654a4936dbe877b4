// One message: what was said, the steps under it, and the answer.
import type { Message } from "@holdfast-dev/holdfast";
import { answerOf, shortId, textOf } from "../message.js";
import type { AgentStep } from "../process.js";
import { Checklist } from "./checklist.js";
import { button, el, setText, time } from "./dom.js";

/** What a message looks like depends on more than itself. */
export interface Situation {
  /** Whether it is the one that the agent is working on. */
  readonly active: boolean;
  /** Given where this tab can try a failed message again. */
  readonly retry: ((id: string) => void) | undefined;
}

export class MessageView {
  readonly element: HTMLLIElement;
  readonly #checklist: Checklist;
  readonly #work: HTMLElement;
  readonly #status: HTMLElement = el("p", { class: "status" });
  readonly #steps: number;
  readonly #recovered: number;
  #shown: { readonly message: Message; readonly situation: Situation } | undefined;

  constructor(message: Message, steps: readonly AgentStep[], recovered: number) {
    this.#steps = steps.length;
    this.#recovered = recovered;
    this.#checklist = new Checklist(steps, recovered);
    this.#work = el("div", { class: "agent" });
    const meta = el("p", { class: "meta" }, time(message.receivedAt, "minutes"), el("code", {}, shortId(message.id)));
    const said = el("div", { class: "bubble person", dir: "auto" }, textOf(message.body));
    this.element = el("li", { class: "message" }, el("div", { class: "said" }, el("span", { class: "sr-only" }, "You said: "), said, meta), this.#work);
    this.#work.append(el("div", { class: "card" }, this.#status, this.#checklist.element));
  }

  update(message: Message, situation: Situation): void {
    const before = this.#shown;
    if (before?.message === message && before.situation.active === situation.active && before.situation.retry === situation.retry) return;
    this.#shown = { message, situation };
    this.#checklist.update(message, situation.active);
    // Of a message that waits in the queue there is nothing to see yet.
    this.#checklist.element.hidden = !situation.active && message.steps.length === 0 && message.status === "received";
    this.element.dataset["status"] = message.status;
    if (message.status === "finished") {
      if (before?.message.status !== "finished") this.#finish(message);
      return;
    }
    this.#status.replaceChildren(...this.#describe(message, situation));
  }

  #describe(message: Message, { active, retry }: Situation): (Node | string)[] {
    if (message.status === "failed") {
      const reason = el("bdi", { dir: "auto" }, message.error ?? "");
      const again = retry === undefined ? [] : [button("Try again", "small", () => retry(message.id))];
      return [el("strong", {}, "This step has failed. "), reason, ...again];
    }
    const before = this.#recovered === 0 ? "" : `, ${this.#recovered} of ${this.#steps} steps recovered`;
    return [`${active ? "Working on it" : "Stored, and waiting"}${before}`];
  }

  #finish(message: Message): void {
    const answer = el("div", { class: "bubble", dir: "auto" });
    setText(answer, answerOf(message));
    const steps = el("details", { class: "history" }, el("summary", {}, `${this.#steps} steps, each stored once`), this.#checklist.element);
    this.#work.replaceChildren(el("span", { class: "sr-only" }, "The agent said: "), answer, steps);
  }
}
