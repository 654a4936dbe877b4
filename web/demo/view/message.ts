// One message: what was said, the steps under it, and the answer.
import type { Message, Storable } from "@holdfast-dev/holdfast";
import type { Agent } from "../agent/agent.js";
import { agentOf } from "../agent/agents.js";
import type { Role } from "../chat.js";
import { answerOf, askedBy, compact, count, questionOf } from "../message.js";
import { partsOf } from "../progress.js";
import { answerNodes } from "./answer.js";
import { Checklist } from "./checklist.js";
import { button, byId, el, handOn, setNodes, setText } from "./dom.js";
import { questionNode } from "./question.js";
import { Said, type Turn } from "./said.js";

/** What can be done with a message, from any tab. */
export interface Actions {
  /** Asks another question in its place. Rejects if that could not be stored. */
  edit(message: Message, text: string): Promise<void>;
  /** Asks the same once more. */
  repeat(message: Message): void;
  /** Sees the branch through a message. */
  see(id: string): void;
  cancel(id: string): void;
  retry(id: string): void;
  /** Answers a step that asks. Rejects if the answer could not be stored. */
  answer(id: string, step: number, answer: Storable): Promise<void>;
}

export class MessageView {
  readonly element: HTMLLIElement;
  readonly #checklist: Checklist;
  readonly #card: HTMLElement;
  /** What is the matter with it, and more about that. */
  readonly #matter: HTMLElement = el("strong");
  readonly #about: HTMLElement = el("bdi", { dir: "auto" });
  readonly #cancel: HTMLButtonElement;
  readonly #again: HTMLButtonElement;
  readonly #question: HTMLElement = el("div", { hidden: "" });
  /** The step whose question is shown. */
  #asked: number | undefined;
  /** The answer as far as it has come. It stays when it is complete. */
  readonly #answer: HTMLElement = el("div", { class: "bubble markdown partial", hidden: "" });
  #written = "";
  readonly #agent: Agent;
  readonly #recovered: number;
  readonly #actions: Actions;
  readonly #said: Said;
  #shown: { readonly message: Message; readonly role: Role; readonly versions: number } | undefined;

  /** `recovered`: how many steps had been passed before this page. */
  constructor(message: Message, recovered: number, actions: Actions, turn: Turn) {
    this.#actions = actions;
    this.#agent = agentOf(message.body);
    this.#recovered = recovered;
    this.#checklist = new Checklist(this.#agent.steps, recovered);
    this.#said = new Said(message, async (text) => await actions.edit(message, text), turn);
    this.#cancel = button("Cancel", "small", () => this.#actions.cancel(message.id));
    this.#again = button("Try again", "small", () => this.#actions.retry(message.id));
    const status = el("p", { class: "status" }, this.#matter, this.#about, " ", this.#cancel, this.#again);
    this.#card = el("div", { class: "card" }, status, this.#checklist.element, this.#question);
    this.element = el("li", { class: "message" }, this.#said.element, el("div", { class: "agent" }, this.#card, this.#answer));
  }

  /** The focus goes to the button of the next version, or of the one before. */
  focusVersions(by: number): void {
    this.#said.focus(by);
  }

  /** `role`: who works on the message; `"idle"` if it is not its turn. `versions`: its siblings, with it. */
  update(message: Message, role: Role, versions: readonly Message[]): void {
    const before = this.#shown;
    if (before?.message === message && before.role === role && before.versions === versions.length) return;
    this.#shown = { message, role, versions: versions.length };
    this.#said.update(message, versions);
    const active = role !== "idle" && role !== "stopped";
    this.#checklist.update(partsOf(message, this.#agent.steps), active);
    this.#ask(message);
    // Of a message that waits in the queue there is nothing to see yet.
    this.#checklist.element.hidden = !active && message.steps.length === 0 && message.status === "received";
    this.element.dataset["status"] = message.status;
    if (message.status === "finished") {
      if (before?.message.status !== "finished") this.#finish(message);
      return;
    }
    this.#describe(message, role);
    this.#write(compact(message.output(this.#agent.steps.at(-1)?.name ?? "")));
  }

  /** The elements stay: what changes ten times a second must not take a press or the focus with it. */
  #describe(message: Message, role: Role): void {
    const matter = message.status === "cancelled" ? "Cancelled." : message.status === "failed" ? "It has failed. " : "";
    const who = { here: "Working on it", elsewhere: "Another tab is working on it", starting: "Starting", asking: "It waits for your answer", idle: "Stored, and waiting", stopped: "Stored, and waiting" }[role];
    const before = this.#recovered === 0 ? "" : `, ${this.#recovered} of ${this.#agent.steps.length} steps recovered`;
    setText(this.#matter, matter);
    setText(this.#about, matter === "" ? `${who}${before}` : message.status === "failed" ? (message.error ?? "") : "");
    handOn(
      () => {
        this.#cancel.hidden = matter !== "";
        this.#again.hidden = matter === "";
      },
      () => (matter === "" ? this.#cancel : this.#again),
    );
  }

  /** A question stays as it is while it is asked: a button may have the focus. */
  #ask(message: Message): void {
    const step = askedBy(message);
    if (step?.index === this.#asked) return;
    this.#asked = step?.index;
    this.#question.hidden = step === undefined;
    if (step === undefined) this.#question.replaceChildren();
    else this.#question.replaceChildren(questionNode(questionOf(step), (answer) => this.#actions.answer(message.id, step.index, answer)));
  }

  #write(answer: string): void {
    if (answer === this.#written) return;
    this.#written = answer;
    this.#answer.hidden = answer === "";
    setNodes(this.#answer, answerNodes(answer));
  }

  #finish(message: Message): void {
    const text = answerOf(message);
    this.#write(text);
    this.#answer.classList.remove("partial");
    this.#card.replaceWith(el("span", { class: "sr-only" }, "The agent said: "));
    const steps = el("details", { class: "history" }, el("summary", {}, `${count(message.steps.length, "step")}, each stored once`), this.#checklist.element);
    this.#answer.after(el("div", { class: "after" }, ...copyButtons(text), button("Answer again", "small quiet", () => this.#actions.repeat(message)), steps));
  }
}

/** A button that copies a text, as it was written. A page that came over HTTP may not copy, and has none. */
function copyButtons(text: string): HTMLButtonElement[] {
  if (!isSecureContext) return [];
  const say = (said: string) => (): void => [copy, byId("live", HTMLElement)].forEach((place) => setText(place, said));
  const copy = button("Copy", "small quiet", () => void navigator.clipboard.writeText(text).then(say("Copied"), say("The browser did not copy it")));
  copy.addEventListener("blur", () => setText(copy, "Copy"));
  copy.addEventListener("pointerleave", () => setText(copy, "Copy"));
  return [copy];
}
