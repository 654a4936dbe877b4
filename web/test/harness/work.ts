// What the specs of the runner need in their pages, and what they look at.
import type { Conversation, ConversationEvent, Message } from "@holdfast-dev/holdfast";
import type { Page } from "@playwright/test";
import type { Server } from "./server.js";
import { attach, log, type Tab } from "./tab.js";

declare global {
  /** Resolves when the conversation is as wanted. */
  var when: (conversation: Conversation, wanted: () => boolean) => Promise<void>;
  /** Tells the test, which keeps it in a list. */
  var tell: (what: string) => Promise<void>;
}

function define(): void {
  globalThis.when = (conversation, wanted) =>
    new Promise((resolve) => {
      const look = (): void => {
        if (!wanted()) return;
        stop();
        resolve();
      };
      const stop = conversation.subscribe(look);
      look();
    });
}

/** Makes a page ready for work, and returns what it tells. */
export async function prepare(page: Page, told: string[] = []): Promise<string[]> {
  await page.addInitScript(define);
  await page.exposeFunction("tell", (what: string) => void told.push(what));
  return told;
}

/** A page of its own with a conversation. */
export async function join(page: Page, server: Server, told: string[], id = "chat"): Promise<Tab> {
  await prepare(page, told);
  await page.goto(server.origin);
  return await attach(page, id);
}

/** Waits until a message has come to a state. */
export async function become(tab: Tab, id: string, status: Message["status"]): Promise<void> {
  await tab.evaluate(({ conversation }, [message, wanted]) => globalThis.when(conversation, () => conversation.state.message(message)?.status === wanted), [id, status] as const);
}

export async function send(tab: Tab, ...ids: string[]): Promise<void> {
  await tab.evaluate(async ({ conversation }, all) => {
    for (const id of all) await conversation.send({ id, body: `body of ${id}` });
  }, ids);
}

/** The log of a message in words: `message_received`, `processing_started`, `plan completed`, `plan attempt_failed`, … */
export async function words(tab: Tab, id?: string): Promise<string[]> {
  const own = (event: ConversationEvent): boolean => "messageId" in event && (id === undefined || event.messageId === id);
  return (await log(tab)).filter(own).map((event) => {
    if (!("step" in event)) return event.kind;
    const { kind, step } = event;
    return `${("name" in event ? event.name : undefined) ?? step} ${kind.replace(/^step_/, "")}`;
  });
}
