// A chat in React, in development mode, whose warnings the tests read. It tells what it was given at each of its renders.
import type { Conversation, Holdfast, Message, OpenOptions } from "@holdfast-dev/holdfast";
import { useConversation, type UseConversation, useConversations, useHoldfast, type UseHoldfast, useProcess } from "@holdfast-dev/holdfast/react";
import { createElement as h, type ReactNode, StrictMode } from "react";
import { createRoot, hydrateRoot, type Root } from "react-dom/client";
import { renderToString } from "react-dom/server";

export type { UseConversation } from "@holdfast-dev/holdfast/react";

/** What a component has rendered. */
export interface Render {
  /** The id that it was to show. */
  readonly id: string;
  readonly given: UseConversation;
}

interface ChatProps {
  readonly holdfast: Holdfast | undefined;
  readonly id: string;
  readonly renders: Render[];
}

function textOf(message: Message): string {
  const { body, status, result = "", steps, openSteps } = message as Message & { readonly result: string | undefined };
  const failed = steps.flatMap(({ name, error }) => (error === undefined ? [] : [`${name} has failed: ${error.message}`]));
  const tried = openSteps.flatMap(({ name, attempts, error }) => (error === undefined ? [] : [`${name}, try ${attempts}: ${error.message}`]));
  return [body, status, result, ...openSteps.map(({ chunks }) => chunks.join("")), ...failed, ...tried].filter((part) => part !== "").join(" | ");
}

/** A button for each question of a message. It answers yes. */
function questions({ id, openSteps }: Message, conversation: Conversation): ReactNode[] {
  return openSteps
    .filter(({ waiting }) => waiting?.for === "answer")
    .map(({ index, waiting }) => h("button", { key: index, onClick: () => void conversation.answer(id, index, "yes") }, String(waiting?.prompt)));
}

function Chat({ holdfast, id, renders }: ChatProps): ReactNode {
  const chat = useConversation(holdfast, id);
  renders.push({ id, given: chat });
  switch (chat.status) {
    case "opening":
      return h("p", { className: "opening" }, `${id}: opening`);
    case "failed":
      return h("p", { className: "failed" }, `${id}: ${chat.error.code}`);
    case "open": {
      const { title } = chat.conversation.metadata as { readonly title?: string };
      const notes = chat.state.notes<string>("draft").map((note) => h("li", { key: `draft ${note.id}` }, `draft: ${note.data}`));
      return h("ul", { title }, ...chat.state.messages.map((message) => h("li", { key: message.id }, textOf(message), ...questions(message, chat.conversation))), ...notes);
    }
  }
}

interface ListProps {
  readonly holdfast: Holdfast | undefined;
  readonly limit: number;
  readonly renders: string[];
}

/** The list of conversations. */
function List({ holdfast, limit, renders }: ListProps): ReactNode {
  const list = useConversations(holdfast, { limit });
  const rows = list.status === "open" ? list.rows.map(({ id, unfinished, metadata }) => [id, unfinished, metadata["title"]].join(" ").trim()) : [list.status === "failed" ? list.error.code : list.status];
  if (list.status === "open" && list.next !== undefined) rows.push("more");
  renders.push(rows.join());
  return h("ul", null, ...rows.map((row) => h("li", { key: row }, row)));
}

interface AgentProps {
  readonly options: OpenOptions;
  /** What the agent answers. It is another function in each render. */
  readonly word: string;
  readonly stores: UseHoldfast[];
  readonly calls: string[];
}

/** An application that opens the store itself, and processes. */
function Agent({ options, word, stores, calls }: AgentProps): ReactNode {
  const store = useHoldfast({ ...options });
  const chat = useConversation<string, string>(store.holdfast, "agent");
  stores.push(store);
  useProcess(chat, ({ message, step }) =>
    step("say", () => {
      calls.push(message.body);
      return `${message.body} ${word}`;
    }),
  );
  if (store.error !== undefined) return h("p", null, store.error.code);
  return h("ul", null, ...(chat.status === "open" ? chat.state.messages.map(({ id, result }) => h("li", { key: id }, result)) : []));
}

/** A root on the page, and what its chats have rendered. */
export class View {
  readonly renders: Render[] = [];
  readonly #root: Root;
  readonly #strict: boolean;

  private constructor(root: (place: HTMLElement) => Root, strict: boolean) {
    this.#root = root(document.body.appendChild(document.createElement("main")));
    this.#strict = strict;
  }

  static create(strict: boolean): View {
    return new View((place) => createRoot(place), strict);
  }

  /** Renders on the server's side, and takes over from that as a page does. */
  static hydrate(holdfast: Holdfast, id: string): { readonly html: string; readonly view: View } {
    const onServer: Render[] = [];
    const html = renderToString(h(Chat, { holdfast, id, renders: onServer }));
    const renders: Render[] = [];
    const view = new View((place) => {
      place.innerHTML = html;
      return hydrateRoot(place, h(Chat, { holdfast, id, renders }));
    }, false);
    return { html, view };
  }

  /** Shows a chat for each id. */
  show(holdfast: Holdfast | undefined, ...ids: string[]): void {
    const chats = ids.map((id, place) => h(Chat, { key: place, holdfast, id, renders: this.renders }));
    this.#root.render(this.#strict ? h(StrictMode, null, ...chats) : chats);
  }

  readonly lists: string[] = [];

  list(holdfast: Holdfast | undefined, limit: number): void {
    const list = h(List, { holdfast, limit, renders: this.lists });
    this.#root.render(this.#strict ? h(StrictMode, null, list) : list);
  }

  readonly stores: UseHoldfast[] = [];
  readonly calls: string[] = [];

  /** Shows an application that opens the store itself. */
  start(options: OpenOptions, word: string): void {
    const agent = h(Agent, { options, word, stores: this.stores, calls: this.calls });
    this.#root.render(this.#strict ? h(StrictMode, null, agent) : agent);
  }

  unmount(): void {
    this.#root.unmount();
  }

  /** What the last render was given. */
  get last(): UseConversation | undefined {
    return this.renders.at(-1)?.given;
  }

  /** Which conversations were shown as which: `id: opening`, or `id: ` and the id of the conversation. Repeated ones once. */
  get story(): string[] {
    const lines = this.renders.map(({ id, given }) => `${id}: ${given.status === "open" ? given.conversation.id : given.status}`);
    return lines.filter((line, i) => line !== lines[i - 1]);
  }
}
