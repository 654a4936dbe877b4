// The log as rows that arrive.
import type { ConversationEvent } from "@holdfast-dev/holdfast";
import { compact, excerpt, field } from "../message.js";
import { byId, el, keepAtEnd, setText, time } from "./dom.js";

/** Older rows leave the page; the log keeps them. */
const maxRows = 400;

export class EventLog {
  readonly #rows = byId("log", HTMLOListElement);
  readonly #count = byId("log-count", HTMLElement);
  /** The numbers of the messages, by id. */
  readonly #numbers = new Map<string, number>();

  constructor() {
    this.#rows.replaceChildren();
    setText(this.#count, "0");
  }

  /** `fresh`: whether they have just happened, and are not what was found at the start. */
  add(events: readonly ConversationEvent[], length: number, fresh: boolean): void {
    const numbered = events.map((event) => [event, this.#numberOf(event)] as const);
    keepAtEnd(this.#rows, () => {
      for (const [event, number] of numbered.slice(-maxRows)) {
        if (event.kind === "deleted") this.#rows.replaceChildren();
        this.#rows.append(row(event, number, fresh));
      }
      while (this.#rows.childElementCount > maxRows) this.#rows.firstElementChild?.remove();
    });
    setText(this.#count, String(length));
  }

  /** Which message of the conversation an event is about, in the order of their arrival. */
  #numberOf(event: ConversationEvent): string {
    if (event.kind === "deleted") {
      this.#numbers.clear();
      return "";
    }
    if (!("messageId" in event)) return "";
    const number = this.#numbers.get(event.messageId) ?? this.#numbers.size + 1;
    this.#numbers.set(event.messageId, number);
    return `#${number}`;
  }
}

function row(event: ConversationEvent, number: string, fresh: boolean): HTMLLIElement {
  const line = el(
    "li",
    { class: fresh ? "event fresh" : "event", "data-kind": event.kind, "data-sequence": String(event.sequence) },
    el("span", { class: "sequence" }, String(event.sequence)),
    el("span", { class: "kind" }, event.kind),
    el("span", { class: "number" }, number),
    time(event.timestamp, "seconds"),
  );
  const payload = excerpt(payloadOf(event), 140);
  if (payload !== "") line.append(el("bdi", { class: "payload", dir: "auto" }, payload));
  return line;
}

function payloadOf(event: ConversationEvent): string {
  switch (event.kind) {
    case "message_received":
      return compact(event.body);
    case "step_completed":
      return `${event.step} ${event.name ?? ""} ${compact(event.output)}`;
    case "step_started":
      return `${event.step} ${event.name}`;
    case "step_streamed":
      return `${event.step} ${event.name} ${event.chunks.map(compact).join("")}`;
    case "processing_finished":
      return compact(event.result);
    case "error_occurred":
      return event.error;
    case "step_failed":
      return `${event.step} ${event.name} ${event.error}${event.attempts > 1 ? `, after ${event.attempts} tries` : ""}`;
    case "attempt_failed":
      return `${event.step} ${event.name} try ${event.attempt}: ${event.error}`;
    case "step_waiting":
      return `${event.step} ${event.name} ${field(event.prompt, "text") ?? compact(event.prompt)}`;
    case "step_resolved":
      return `${event.step} is to run again`;
    case "message_retried":
      return event.steps.length === 0 ? "" : `forgets ${event.steps.join(", ")}`;
    case "processing_stopped":
      return event.waiting ? "waits" : "";
    case "processing_started":
    case "message_cancelled":
      return "";
    case "note":
      return `${event.type} ${compact(event.data)}`;
    case "metadata_set":
      return event.value === undefined ? `${event.key} is removed` : `${event.key} ${compact(event.value)}`;
    case "deleted":
      return "what came before is gone";
  }
}
