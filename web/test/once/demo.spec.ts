// The demo as a visitor has it: built, served from a folder, and crashed in the middle of what it does.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Locator, Page } from "@playwright/test";
import { build } from "vite";
import { Server } from "../harness/server.js";
import { attach, brief, log, type Tab } from "../harness/tab.js";
import { expect, test as base } from "../harness/test.js";

const names = ["read", "key words", "detect", "compute", "draft", "polish"];
const question = "What is 12 × (3 + 4) − 5²?";
const answer = "12 × (3 + 4) − 5² = 59.";
const hostile = `<img src=x onerror=ran()><script>ran()</script>`;

/** The events of one message that was answered, without those that tell of an attempt. */
const once = ["received", ...names.map((_, step) => `step ${step}`), "finished"];

const test = base.extend<{ complaints: string[] }, { site: string }>({
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

  // What the console says in any page of the demo, such as that the policy was violated. A test that expects some empties it.
  complaints: [
    async ({ context }, use) => {
      const complaints: string[] = [];
      context.on("weberror", (error) => complaints.push(String(error.error())));
      context.on("console", (message) => {
        if (message.type() === "error") complaints.push(message.text());
      });
      await use(complaints);
      context.removeAllListeners("weberror");
      context.removeAllListeners("console");
      expect(complaints, "nothing goes wrong unseen").toEqual([]);
    },
    { auto: true },
  ],
});

async function visit(page: Page, server: Server): Promise<void> {
  await page.goto(`${server.origin}/demo/`);
  await expect(page.getByLabel("Message", { exact: true })).toBeEnabled();
}

async function say(page: Page, text: string): Promise<void> {
  await page.getByLabel("Message", { exact: true }).fill(text);
  await page.keyboard.press("Enter");
}

const message = (page: Page, index = 0): Locator => page.locator("#messages > li").nth(index);
const step = (page: Page, name: string, index = 0): Locator => message(page, index).locator(".steps > li", { has: page.getByText(name, { exact: true }) });
const banner = (page: Page): Locator => page.locator("#banner-text");
const finished = (page: Page, index = 0): Promise<void> => expect(message(page, index)).toHaveAttribute("data-status", "finished", { timeout: 20_000 });

/** Waits until a step runs. It does so for a second, so the page itself must look often. */
async function running(page: Page, name: string, index = 0): Promise<void> {
  await page.waitForFunction(
    ([name, index]) =>
      document.querySelectorAll("#messages > li")[index]?.querySelector("[data-state=running] .name")?.textContent === name,
    [name, index] as const,
    { polling: 50, timeout: 20_000 },
  );
}

/** The demo's conversation, in a page that is no demo. */
async function stranger(page: Page, server: Server): Promise<Tab> {
  await page.goto(server.origin);
  return await attach(page, "chat", { database: "holdfast-demo" });
}

/** The events of each message, in the order of their arrival, starts left out. */
async function stories(tab: Tab): Promise<string[][]> {
  const found = new Map<string, string[]>();
  for (const event of await log(tab)) {
    if (event.kind === "deleted") found.clear();
    else if (!["processing_started", "step_streamed"].includes(event.kind)) found.set(event.messageId, [...(found.get(event.messageId) ?? []), brief(event)]);
  }
  return [...found.values()];
}

/** Reads the banner of a page that was opened again, and checks that it says what goes on. */
async function recovered(page: Page, atLeast: number): Promise<number> {
  await expect(banner(page)).toContainText(/Recovered \d+ events? in (under 1|\d+) ms\./);
  const said = await banner(page).textContent();
  const [, done, total, next, name] = /had completed (\d) of (\d) steps; going on with step (\d) \(([a-z ]+)\)\./.exec(said ?? "") ?? [];
  const steps = Number(done);
  expect(steps).toBeGreaterThanOrEqual(atLeast);
  expect({ total, next, name }).toEqual({ total: "6", next: String(steps + 1), name: names[steps] });
  await expect(message(page).locator(".steps > li.recovered")).toHaveCount(steps);
  return steps;
}

test("a message is answered in visible steps, and the log shows each as it is stored", async ({ context, page, server }) => {
  await visit(page, server);
  await expect(page.getByText("Agent runs here")).toBeVisible();
  await expect(banner(page)).toBeHidden();
  await say(page, question);
  for (const name of names) await running(page, name);
  await expect(step(page, "compute")).toContainText("12 × (3 + 4) − 5² = 59");
  await finished(page);
  await expect(message(page)).toContainText(answer);
  const rows = page.locator("#log > li:not([data-kind=step_streamed]) .kind");
  await expect(rows).toHaveText(["message_received", "processing_started", ...names.map(() => "step_completed"), "processing_finished"]);
  const streamed = await page.locator("#log > li[data-kind=step_streamed]").count();
  expect(streamed, "the answer came in parts").toBeGreaterThan(2);
  const count = 9 + streamed;
  await expect(page.locator("#log > li .sequence")).toHaveText(Array.from({ length: count }, (_, i) => String(i)));
  expect(await stories(await stranger(await context.newPage(), server))).toEqual([once]);

  await page.reload();
  await expect(banner(page)).toContainText(new RegExp(`^Recovered ${count} events in (under 1|\\d+) ms, nothing left to do\\.$`));
  await page.getByRole("button", { name: "Dismiss what was recovered" }).click();
  await expect(banner(page)).toBeHidden();
});

test("after a crash in the middle of a step it goes on at that step, and those that wait keep their turn", async ({ context, page, server }) => {
  await visit(page, server);
  await say(page, question);
  await say(page, "Hello there!");
  await running(page, "compute");
  await page.getByRole("button", { name: "Crash" }).click();
  await expect(page.getByText("The page is gone, mid-step.")).toBeVisible();
  await page.getByRole("link", { name: "Reload" }).click();
  await recovered(page, 3);
  await expect(banner(page)).toContainText("1 more message waits its turn.");
  await finished(page);
  await running(page, "read", 1);
  await finished(page, 1);
  await expect(message(page)).toContainText(answer);
  expect(await stories(await stranger(await context.newPage(), server))).toEqual([once, once]);
});

test("the same after SIGKILL of the whole browser", async ({ launch, server }) => {
  const first = await launch();
  const before = await first.newPage();
  await visit(before, server);
  await say(before, question);
  await running(before, "detect");
  await first.kill();

  const second = await launch();
  const page = await second.newPage();
  await visit(page, server);
  await recovered(page, 2);
  await finished(page);
  await expect(message(page)).toContainText(answer);
  expect(await stories(await stranger(await second.newPage(), server))).toEqual([once]);
});

test("stored content is shown as text, whatever it is and wherever it stands", async ({ context, page, server }) => {
  const tab = await stranger(await context.newPage(), server);
  await tab.evaluate(async ({ conversation }, hostile) => {
    await conversation.receiveMessage({ id: hostile, body: { text: hostile } });
    await conversation.recordStepCompleted(hostile, 0, { line: hostile });
    await conversation.recordStepCompleted(hostile, 5, hostile);
    await conversation.recordError(hostile, hostile);
    await conversation.recordProcessingFinished(hostile);
    // And values of other shapes than the demo's.
    await conversation.receiveMessage({ id: "\u202e", body: [hostile, new Uint8Array(3)], receivedAt: Number.MAX_SAFE_INTEGER });
    await conversation.recordStepCompleted("\u202e", 0, null);
    await conversation.recordProcessingFinished("\u202e");
    await conversation.receiveMessage({ id: "failing" });
    await conversation.recordStepCompleted("failing", 0, hostile);
    await conversation.recordStepCompleted("failing", 1, { words: hostile });
  }, hostile);
  await visit(page, server);
  // Its third step reads what the first has stored, and that is not what it needs.
  await expect(message(page, 2)).toContainText("This step has failed. Error: the stored output has no words that is a number");
  await page.getByRole("button", { name: "Try again" }).click();
  await expect(message(page, 2)).toContainText("Working on it");
  await expect(page.getByRole("button", { name: "Try again" })).toBeVisible();
  await say(page, hostile);
  await running(page, "key words", 3);
  await expect(page.locator(".bubble.person", { hasText: hostile })).toHaveCount(3);
  await expect(message(page, 0).locator(".agent > .bubble")).toHaveText(hostile);
  await expect(page.locator("#log")).toContainText("<script>ran()</script>");
  await expect(page.locator("#messages, #log").locator("img, script, [onerror]")).toHaveCount(0);
});

test("a message is cancelled in one tab, tried again in another, and keeps the steps it has", async ({ context, page, server }) => {
  await visit(page, server);
  const second = await context.newPage();
  await visit(second, server);
  await say(page, question);
  await running(second, "detect");
  await message(second).getByRole("button", { name: "Cancel" }).click();
  for (const tab of [page, second]) await expect(message(tab)).toContainText("Cancelled.");
  await say(page, "Hello there!"); // later messages go on
  await finished(second, 1);
  await expect(message(page)).toHaveAttribute("data-status", "cancelled");
  await message(page).getByRole("button", { name: "Try again" }).click();
  await finished(second);
  await expect(message(page)).toContainText(answer);
  const [first] = await stories(await stranger(await context.newPage(), server));
  expect(first).toEqual(["received", "step 0", "step 1", "cancelled", "retried", "step 2", "step 3", "step 4", "step 5", "finished"]);
});

test("the answer can be read as it comes, in another tab too, and after a crash", async ({ context, page, server }) => {
  await visit(page, server);
  const second = await context.newPage();
  await visit(second, server);
  await say(page, "The tide came in before dawn. Nobody had moved the boat, and the tide took it. By evening the boat was back.");
  for (const tab of [page, second]) await expect(message(tab).locator(".partial")).toContainText(/\w+ \w+/, { timeout: 20_000 });
  await second.close();
  await page.getByRole("button", { name: "Crash" }).click();
  await page.getByRole("link", { name: "Reload" }).click();
  await recovered(page, 5);
  await finished(page);
  await expect(message(page).locator(".partial")).toHaveCount(0);
});

test("after one visit it starts and answers without a network", async ({ page, server }) => {
  await visit(page, server);
  await page.evaluate(async () => {
    await navigator.serviceWorker.ready;
  });
  server.cut();
  await page.goto("about:blank");
  await visit(page, server);
  await say(page, question);
  await finished(page);
  await expect(message(page)).toContainText(answer);
  const session = await page.context().newCDPSession(page);
  const { errors } = await session.send("Page.getAppManifest");
  expect(errors).toEqual([]);
  const { installabilityErrors } = await session.send("Page.getInstallabilityErrors");
  expect(installabilityErrors.map(({ errorId }) => errorId)).toEqual([]);
  server.restore();
});

test("the page's policy lets no script in that it does not bring", async ({ complaints, page, server }) => {
  await visit(page, server);
  const refused = await page.evaluate(() => {
    try {
      document.body.insertAdjacentHTML("beforeend", "<p>markup</p>");
      return "";
    } catch (error) {
      return String(error);
    }
  });
  expect(refused).toContain("TrustedHTML");
  expect(complaints.splice(0).join()).toContain("TrustedHTML");
});

test("a second tab follows, can send, and takes over when the first is gone", async ({ context, page, server }) => {
  await visit(page, server);
  await say(page, question);
  const second = await context.newPage();
  await visit(second, server);
  await expect(second.getByText("Following another tab")).toBeVisible();
  await expect(banner(second)).toContainText("another tab is working on it");
  await expect(second.getByRole("button", { name: "Crash" })).toBeDisabled();
  await say(second, "rope, lamp, bread and tea");
  await expect(message(page, 1)).toContainText("rope, lamp, bread and tea");
  await running(second, "detect");
  await running(page, "compute");
  await page.close();

  await expect(second.getByText("Agent runs here")).toBeVisible();
  await expect(banner(second)).toContainText(/The other tab is gone\..*had completed [34] of 6 steps; going on with step [45]/);
  await finished(second);
  await finished(second, 1);
  await expect(message(second, 1)).toContainText("In order: bread, lamp, rope, tea.");
  expect(await stories(await stranger(await context.newPage(), server))).toEqual([once, once]);
});

test("what others append meanwhile disturbs no step", async ({ context, page, server }) => {
  await visit(page, server);
  const other = await context.newPage();
  const tab = await stranger(other, server);
  await say(page, question);
  await running(page, "read");
  // As fast as it can, so that the demo's appends meet conflicts.
  await other.exposeFunction("answered", async () => (await message(page).getAttribute("data-status")) === "finished");
  const written = await tab.evaluate(async ({ conversation, Conflict }) => {
    const { answered } = globalThis as unknown as { readonly answered: () => Promise<boolean> };
    let n = 0;
    while (!(await answered())) {
      try {
        await conversation.recordStepCompleted("noise", n);
        n++;
      } catch (error) {
        if (!(error instanceof Conflict)) throw error;
        await conversation.refresh();
      }
    }
    return n;
  });
  expect(written).toBeGreaterThan(20);
  const [first, noise] = await stories(tab);
  expect(first).toEqual(once);
  expect(noise).toHaveLength(written);
});

test("a deleted conversation is gone in both tabs, and nothing of it comes back", async ({ context, page, server }) => {
  await visit(page, server);
  const second = await context.newPage();
  await visit(second, server);
  await say(page, question);
  await running(second, "key words");
  await second.getByRole("button", { name: "New" }).click();
  await second.getByRole("button", { name: "Delete" }).click();
  for (const tab of [page, second]) {
    await expect(tab.getByText("A conversation that outlives its page")).toBeVisible();
    await expect(tab.locator("#log > li .kind").first()).toHaveText("deleted");
  }
  await say(second, "Hello there!");
  await finished(page);
  expect(await stories(await stranger(await context.newPage(), server))).toEqual([once]);
});

test("failures are told with their code, and with the way on", async ({ complaints, context, page, server }) => {
  const failure = page.getByRole("alert");
  await page.route("**/*.wasm", (route) => route.fulfill({ status: 404 }));
  await page.goto(`${server.origin}/demo/`);
  await expect(failure).toContainText("instance_lost");
  expect(complaints.splice(0).join()).toContain("404");
  await page.unroute("**/*.wasm");
  await failure.getByRole("button", { name: "Reopen" }).click();
  await expect(failure).toBeHidden();
  await expect(page.getByText("Agent runs here")).toBeVisible();

  await say(page, question);
  await running(page, "detect");
  // What a browser does whose disk is full.
  const add = await page.evaluateHandle(() => {
    const before = Object.getOwnPropertyDescriptor(IDBObjectStore.prototype, "add") ?? {};
    IDBObjectStore.prototype.add = () => {
      throw new DOMException("the disk is full", "QuotaExceededError");
    };
    return before;
  });
  await expect(failure).toContainText("quota_exceeded");
  await say(page, "Hello there!");
  await expect(page.getByLabel("Message", { exact: true }), "what could not be sent is not lost").toHaveValue("Hello there!");
  await expect(page.getByText("Agent has stopped")).toBeVisible();
  await expect(page.locator("[data-state=running]")).toHaveCount(0);
  await add.evaluate((add) => Object.defineProperty(IDBObjectStore.prototype, "add", add));
  await failure.getByRole("button", { name: "Go on" }).click();
  await running(page, "detect");
  await page.getByLabel("Message", { exact: true }).press("Enter");
  await finished(page, 1);
  await finished(page);
  expect(await stories(await stranger(await context.newPage(), server))).toEqual([once, once]);
});
