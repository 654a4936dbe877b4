// The demo as a visitor has it: built, served from a folder, and looked at from outside.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Locator, Page } from "@playwright/test";
import { build } from "vite";
import { Model } from "./model.js";
import { Server } from "./server.js";
import type { ConversationEvent } from "@holdfast-dev/holdfast";
import { attach, brief, log, recover, type Tab } from "./tab.js";
import { expect, test as base } from "./test.js";

/** The steps of the assistant. It asks for consent where it has found several files. */
export const names = ["question", "exact", "search", "consent", "read", "compare", "answer"];
export const question = "What does a holdfast do in a storm?";

const begun = ["received", "question", "exact: failed", "search"];
const ended = ["read", "compare", "answer", "finished"];

/** The events of one message that was answered without a question, from so many files. */
export const once = (files = 0): string[] => [...begun, ...Array.from({ length: files }, () => "file"), ...ended];

/** The same, with a question. */
export const asked = (files: number): string[] => [...begun, "consent: waiting", "consent", ...once(files).slice(begun.length)];

export const test = base.extend<{ complaints: string[]; model: Model }, { site: string }>({
  site: [
    // oxlint-disable-next-line no-empty-pattern -- Playwright reads the names of the fixtures from this pattern.
    async ({}, use) => {
      const outDir = await mkdtemp(join(tmpdir(), "holdfast-demo-"));
      await build({ root: fileURLToPath(new URL("../../demo", import.meta.url)), logLevel: "warn", build: { outDir } });
      await use(outDir);
      await rm(outDir, { recursive: true });
    },
    { scope: "worker" },
  ],

  server: async ({ site }, use) => {
    const server = await Server.start({ "/demo/": site });
    await use(server);
    await server.close();
  },

  // It is on another origin than the page.
  model: async ({ server }, use) => {
    const model = await Model.start(server.origin);
    await use(model);
    await model.close();
  },

  // What the console says in any page of the demo, such as that the policy was violated. A test that expects some empties it.
  complaints: [
    async ({ context }, use) => {
      const complaints: string[] = [];
      context.on("weberror", (error) => complaints.push(String(error.error())));
      context.on("console", (message) => {
        if (["error", "warning"].includes(message.type())) complaints.push(message.text());
      });
      await use(complaints);
      context.removeAllListeners("weberror");
      context.removeAllListeners("console");
      expect(complaints, "nothing goes wrong unseen").toEqual([]);
    },
    { auto: true },
  ],
});

/** Makes the next visit not the first one: then there are no files but those that a test gives. */
export async function comeBack(page: Page): Promise<void> {
  await page.addInitScript(() => {
    if (location.protocol === "http:") localStorage.setItem("holdfast-demo:visited", "yes");
  });
}

export async function visit(page: Page, server: Server): Promise<void> {
  await comeBack(page);
  await page.setViewportSize({ width: 1300, height: 800 }); // so that nothing is in a drawer
  await page.emulateMedia({ reducedMotion: "reduce" }); // else each frame of a wheel that turns is drawn
  await page.goto(`${server.origin}/demo/`);
  await expect(page.getByLabel("Message", { exact: true })).toBeEnabled();
}

export async function say(page: Page, text: string): Promise<void> {
  await page.getByLabel("Message", { exact: true }).fill(text);
  await page.keyboard.press("Enter");
}

/** Lets a model answer. */
export async function connect(page: Page, model: Model): Promise<void> {
  await page.getByLabel("Who answers").selectOption("Language model at an address");
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("Address").fill(`${model.origin}/v1`);
  await dialog.getByLabel("Model").fill("small");
  await dialog.getByRole("button", { name: "Connect" }).click();
}

/** Gives the assistant something to read. */
export async function addSamples(page: Page): Promise<void> {
  await page.getByRole("button", { name: "Add three sample notes" }).click();
  await expect(page.locator("#files > li")).toHaveCount(3);
}

export const message = (page: Page, index = 0): Locator => page.locator("#messages > li").nth(index);
export const answer = (page: Page, index = 0): Locator => message(page, index).locator(".agent > .bubble");
export const step = (page: Page, name: string, index = 0): Locator => message(page, index).locator(".steps > li", { has: page.getByText(name, { exact: true }) });
export const banner = (page: Page): Locator => page.locator("#banner-text");
export const role = (page: Page): Locator => page.locator("#role");
export const chats = (page: Page): Locator => page.locator("#chats > li");
export const finished = (page: Page, index = 0): Promise<void> => expect(message(page, index)).toHaveAttribute("data-status", "finished");

/** The question that the assistant asks, and its answers. */
export const asks = (page: Page, index = 0): Locator => message(page, index).getByRole("group", { name: "Read all files?" });
export const allow = (page: Page, index = 0): Promise<void> => asks(page, index).getByRole("button", { name: "Read all" }).click();
export const refuse = (page: Page, index = 0): Promise<void> => asks(page, index).getByRole("button", { name: "Only" }).click();

/** Waits until a step runs. It does so for a second, so the page itself must look often. */
export async function running(page: Page, name: string, index = 0): Promise<void> {
  await page.waitForFunction(
    ([name, index]) =>
      document.querySelectorAll("#messages > li")[index]?.querySelector("[data-state=running] .name")?.textContent === name,
    [name, index] as const,
    { polling: 50, timeout: 60_000 },
  );
}

/** The newest conversation of the demo, in a page that is no demo. */
export async function stranger(page: Page, server: Server, id?: string): Promise<Tab> {
  await page.goto(server.origin);
  const tab = await attach(page, id ?? "nothing", { database: "holdfast-demo" });
  const found = id ?? (await tab.evaluate(async ({ holdfast }) => (await holdfast.conversations("chat/")).at(-1)?.id));
  return await recover(tab, found ?? "nothing");
}

/** An event in a word, with the name of its step. */
function told(event: ConversationEvent): string {
  if (!("step" in event)) return brief(event);
  const name = event.kind === "step_resolved" ? undefined : event.name;
  return `${name ?? event.step}${event.kind === "step_completed" ? "" : `: ${brief(event)}`}`;
}

/** The events of each message, in the order of their arrival, without those that tell of an attempt. */
export async function stories(tab: Tab): Promise<string[][]> {
  const found = new Map<string, string[]>();
  for (const event of await log(tab)) {
    if (event.kind === "deleted") found.clear();
    else if ("messageId" in event && !["processing_started", "processing_stopped", "step_streamed"].includes(event.kind)) found.set(event.messageId, [...(found.get(event.messageId) ?? []), told(event)]);
  }
  return [...found.values()];
}

/** Reads the banner of a page that was opened again, and checks that it says what goes on. */
export async function recovered(page: Page, atLeast: number, of: readonly string[] = names): Promise<number> {
  await expect(banner(page)).toContainText(/Recovered \d+ events? in (under 1|\d+) ms\./);
  const said = await banner(page).textContent();
  const [, done, total, next, name] = /had passed (\d) of (\d) steps; going on with step (\d) \(([a-z ]+)\)\./.exec(said ?? "") ?? [];
  const steps = Number(done);
  expect(steps).toBeGreaterThanOrEqual(atLeast);
  expect({ total, next, name }).toEqual({ total: String(of.length), next: String(steps + 1), name: of[steps] });
  await expect(message(page).locator(".steps > li.recovered")).toHaveCount(steps);
  return steps;
}
