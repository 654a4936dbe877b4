// The messages of the branch of a chat that is seen, in order.
import type { ConversationState, Message } from "@holdfast-dev/holdfast";
import type { Role } from "../chat.js";
import { agentOf } from "../agent/agents.js";
import { answerOf, askedBy, excerpt, isUnfinished, questionOf, textOf } from "../message.js";
import { partsOf, passedOf } from "../progress.js";
import { byId, handOn, keepAtEnd, setText } from "./dom.js";
import { type Actions, MessageView } from "./message.js";

export class Messages {
  readonly #pane = byId("chat", HTMLElement);
  readonly #list = byId("messages", HTMLOListElement);
  readonly #empty = byId("empty", HTMLElement);
  readonly #live = byId("live", HTMLElement);
  /** Says that the agent is at what is not seen. */
  readonly #unseen = byId("unseen", HTMLElement);
  readonly #actions: Actions;
  readonly #views = new Map<string, MessageView>();
  /** How many steps of each message had been passed before this page. */
  readonly #recovered: ReadonlyMap<string, number>;
  /** The questions that were read out: steps and messages. */
  readonly #announced = new Set<string>();
  #shown: ConversationState;
  #branch: readonly Message[] = [];
  /** Where the page has scrolled to by itself; from anywhere else the reader has scrolled away. */
  #placed = 0;

  /** `found`: what was there before this page. */
  constructor(state: ConversationState, found: readonly Message[], actions: Actions) {
    this.#shown = state;
    this.#actions = actions;
    byId("unseen-show", HTMLButtonElement).onclick = () => {
      const current = this.#shown.received.find(isUnfinished);
      if (current !== undefined) actions.see(current.id);
      this.toActive();
    };
    this.#recovered = new Map(found.filter(isUnfinished).map((message) => [message.id, passedOf(partsOf(message, agentOf(message.body).steps))]));
    this.#list.replaceChildren();
  }

  show(state: ConversationState, branch: readonly Message[], role: Role): void {
    const before = this.#shown;
    const gone = this.#branch.filter(({ id }) => !branch.some((message) => message.id === id));
    this.#shown = state;
    this.#branch = branch;
    const active = state.received.find(isUnfinished);
    const top = this.#pane.scrollTop;
    const left = top !== this.#placed;
    const pointed = this.#pane.querySelector("button:hover, button:active");
    const change = (): void => {
      this.#empty.hidden = branch.length > 0;
      for (const { id } of gone) this.#views.get(id)?.element.remove();
      for (const id of this.#views.keys()) if (!state.isReceived(id)) this.#views.delete(id);
      for (const message of branch) {
        const view = this.#view(message);
        if (!view.element.isConnected) this.#list.append(view.element); // what is there already comes before it
        view.update(message, message === active ? role : "idle", state.siblings(message.id));
      }
      this.#unseen.hidden = active === undefined || branch.includes(active); // last: a message would take the focus that goes with it
    };
    const atEnd = keepAtEnd(this.#pane, () => handOn(change));
    // A button under the pointer stays there, or it could not be pressed while an answer streams; so does what another branch shares.
    if (pointed?.isConnected === true || gone.length > 0) this.#pane.scrollTop = top;
    else if (!atEnd && !left) this.toActive();
    if (gone.length > 0) this.#placed = -1; // it was the reader's choice
    else if (atEnd) this.#placed = this.#pane.scrollTop;
    this.#announce(before, state);
  }

  /** Brings the message that is being answered into sight, or else the newest. */
  toActive(): void {
    const active = this.#branch.find(isUnfinished);
    const view = active === undefined ? undefined : this.#views.get(active.id);
    if (view === undefined) return this.toEnd();
    view.element.scrollIntoView({ block: "end" });
    this.#placed = this.#pane.scrollTop;
  }

  /** Brings the newest message into sight. */
  toEnd(): void {
    this.#pane.scrollTop = this.#branch.length === 0 ? 0 : this.#pane.scrollHeight;
    this.#placed = this.#pane.scrollTop;
  }

  #view(message: Message): MessageView {
    let view = this.#views.get(message.id);
    if (view === undefined) {
      view = new MessageView(message, this.#recovered.get(message.id) ?? 0, this.#actions, (to, by) => this.#turn(to, by));
      this.#views.set(message.id, view);
    }
    return view;
  }

  /** Sees another version of a question, where the same button has the focus then. */
  #turn(to: Message, by: number): void {
    if (document.activeElement instanceof HTMLElement) document.activeElement.blur(); // else it is handed on to where one types
    this.#actions.see(to.id);
    this.#views.get(to.id)?.focusVersions(by);
    const versions = this.#shown.siblings(to.id);
    setText(this.#live, `Version ${versions.findIndex(({ id }) => id === to.id) + 1} of ${versions.length}: ${excerpt(textOf(to.body), 400)}`);
  }

  #announceQuestion(message: Message): void {
    const step = askedBy(message);
    if (step === undefined || this.#announced.has(`${step.index} ${message.id}`)) return;
    this.#announced.add(`${step.index} ${message.id}`);
    const { text, about } = questionOf(step);
    setText(this.#live, `The agent asks: ${text} ${about}`);
  }

  /** Tells those who do not see the page. The list itself changes too often to be read out. */
  #announce(before: ConversationState, state: ConversationState): void {
    for (const message of state.received) {
      this.#announceQuestion(message);
      if (message.status === before.message(message.id)?.status) continue;
      if (message.status === "finished") setText(this.#live, `The agent said: ${excerpt(answerOf(message), 400)}`);
      if (message.status === "received") setText(this.#live, "Message stored.");
      if (message.status === "failed") setText(this.#live, "It has failed.");
      if (message.status === "cancelled") setText(this.#live, "Cancelled.");
    }
  }
}
