// The demo in several tabs, with several conversations and files.
import type { Page } from "@playwright/test";
import { addSamples, allow, answer, asked, banner, chats, finished, message, once, question, role, running, say, stories, stranger, test, visit } from "../harness/demo.js";
import type { Server } from "../harness/server.js";
import { expect } from "../harness/test.js";

async function open(page: Page, server: Server): Promise<Page> {
  await visit(page, server);
  return page;
}

/** Drops files on the page. */
async function drop(page: Page, files: Readonly<Record<string, string | number[]>>): Promise<void> {
  await page.evaluate((files) => {
    const dataTransfer = new DataTransfer();
    for (const [name, content] of Object.entries(files)) {
      dataTransfer.items.add(new File([typeof content === "string" ? content : new Uint8Array(content)], name));
    }
    for (const type of ["dragover", "drop"]) document.body.dispatchEvent(new DragEvent(type, { dataTransfer, bubbles: true, cancelable: true }));
  }, files);
}

test("a second tab follows live, can send, and takes over when the first is gone", async ({ context, page, server }) => {
  await visit(page, server);
  await addSamples(page);
  await say(page, question);
  const second = await open(await context.newPage(), server);
  await expect(role(second)).toHaveText("Another tab works, this one follows");
  await expect(banner(second)).toContainText("another tab is working on it");
  await expect(second.getByRole("button", { name: "Crash" })).toBeDisabled();
  await say(second, "How fast does kelp grow?");
  await expect(message(page, 1)).toContainText("How fast does kelp grow?");
  await allow(page);
  await running(page, "compare");
  await page.close();

  await expect(role(second)).toHaveText("The agent works here");
  await expect(banner(second)).toContainText(/The other tab is gone\..*had passed [56] of 7 steps; going on with step [67]/);
  await finished(second);
  await finished(second, 1);
  await expect(answer(second, 1)).toContainText("half a metre in a day");
  expect(await stories(await stranger(await context.newPage(), server))).toEqual([asked(2), once(2)]);
});

test("a tab that takes over says so, also if it has seen before that nobody works", async ({ context, page, server }) => {
  await visit(page, server);
  await say(page, question);
  const second = await open(await context.newPage(), server);
  await expect(role(second)).toHaveText("Another tab works, this one follows");
  await second.evaluate(() => (navigator.locks.query = () => Promise.resolve({ held: [], pending: [] })));
  await expect(role(second)).toHaveText("Starting…");
  await page.close();
  await expect(role(second)).toHaveText("The agent works here");
  await expect(banner(second)).toContainText("The other tab is gone.");
});

test("a message is cancelled in one tab, tried again in another, and keeps the steps it has", async ({ context, page, server }) => {
  await visit(page, server);
  await say(page, question);
  const second = await open(await context.newPage(), server);
  await running(second, "search");
  await message(second).getByRole("button", { name: "Cancel" }).click();
  for (const tab of [page, second]) await expect(message(tab)).toContainText("Cancelled.");
  await say(page, "Hello there!"); // later messages go on
  await finished(second, 1);
  await expect(message(page)).toHaveAttribute("data-status", "cancelled");
  await message(page).getByRole("button", { name: "Try again" }).click();
  await finished(second);
  const [first] = await stories(await stranger(await context.newPage(), server));
  expect(first).toEqual(["received", "question", "exact: failed", "cancelled", "retried", ...once().slice(3)]);
});

test("several conversations: each has its own messages, goes on while another one is shown, and after a crash", async ({ context, page, server }) => {
  await visit(page, server);
  await page.getByLabel("Message", { exact: true }).fill("The first question");
  await page.evaluate(() => {
    document.querySelector("form")?.requestSubmit();
    document.getElementById("new")?.click(); // at once, while it is being sent
  });
  await expect(page.getByText("A conversation that outlives its page")).toBeVisible();
  await say(page, "The second question");
  await expect(chats(page)).toContainText(["The second question", "The first question"]);
  await expect(message(page)).toContainText("The second question");
  await expect(page.locator("#messages > li")).toHaveCount(1);
  const second = await open(await context.newPage(), server);
  await expect(chats(second)).toContainText(["The second question", "The first question"]);
  await running(page, "search");
  await second.close();
  await page.getByRole("button", { name: "Crash" }).click();
  await page.getByRole("link", { name: "Reload" }).click();
  await expect(chats(page)).toHaveCount(2);
  await finished(page);
  await chats(page).filter({ hasText: "The first question" }).locator(".entry").click();
  await expect(message(page)).toContainText("The first question");
  await finished(page);
  const tab = await stranger(await context.newPage(), server);
  const ids = await tab.evaluate(async ({ holdfast }) => (await holdfast.conversations("chat/")).map(({ id }) => id));
  expect(ids).toHaveLength(2);
  for (const id of ids) expect(await stories(await stranger(await context.newPage(), server, id))).toEqual([once()]);
});

test("a conversation that one tab begins appears in the other; deleted, it is gone in both, and nothing of it comes back", async ({ context, page, server }) => {
  await visit(page, server);
  const second = await open(await context.newPage(), server);
  await say(page, question);
  await expect(chats(second)).toContainText([question]);
  await chats(second).locator(".entry").click();
  await running(second, "search");
  await chats(second).getByRole("button", { name: "Delete" }).click();
  await second.getByRole("dialog").getByRole("button", { name: "Keep it" }).click();
  await expect(chats(second)).toHaveCount(1);
  await chats(second).getByRole("button", { name: "Delete" }).click();
  await second.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
  for (const tab of [page, second]) {
    await expect(tab.getByText("A conversation that outlives its page")).toBeVisible();
    await expect(chats(tab)).toHaveCount(0);
    await expect(role(tab)).toHaveText("Ready");
  }
  await say(second, "Hello there!");
  await finished(second);
  await expect(chats(page)).toContainText(["Hello there!"]);
  const tab = await stranger(await context.newPage(), server);
  expect(await tab.evaluate(async ({ holdfast }) => (await holdfast.conversations("chat/")).length)).toBe(1);
  expect(await stories(tab)).toEqual([once()]);
});

test("files are dropped in one tab, read by the agent of another, replaced, and deleted", async ({ context, page, server }) => {
  await visit(page, server);
  const second = await open(await context.newPage(), server);
  await drop(page, { "rope.md": "# Rope\n\nA bowline holds, and comes loose when you want it to.", "lamp.txt": "The lamp burns paraffin.", "photo.png": [0, 1], "broken.txt": [0xff, 0xfe, 0x41] });
  await expect(page.locator("#files-said")).toHaveText("“photo.png” is neither text nor Markdown. “broken.txt” cannot be read as text in UTF-8.");
  for (const tab of [page, second]) await expect(tab.locator("#files > li")).toContainText(["lamp.txt", "rope.md"]);
  await say(second, "What does the lamp burn, and which knot holds?");
  await allow(second);
  await finished(second);
  await expect(answer(second)).toContainText("paraffin");
  await expect(answer(second)).toContainText("bowline");

  await drop(second, { "lamp.txt": "The lamp burns oil now." });
  await expect(second.locator("#files-said")).toHaveText("1 stored.");
  await page.locator("#files > li", { hasText: "rope.md" }).getByRole("button").click();
  await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
  for (const tab of [page, second]) await expect(tab.locator("#files > li")).toContainText(["lamp.txt"]);
  await say(second, "What does the lamp burn, and is there a bowline?");
  await finished(second, 1);
  await expect(answer(second, 1)).toContainText("oil now");
  await expect(answer(second, 1)).not.toContainText("paraffin");
  await expect(answer(second, 1)).toContainText("I found nothing about “bowline”.");
});

test("what others append meanwhile disturbs no step", async ({ context, page, server }) => {
  await visit(page, server);
  await say(page, question);
  await running(page, "question");
  const other = await context.newPage();
  const tab = await stranger(other, server);
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
  expect(first).toEqual(once());
  expect(noise).toHaveLength(written);
});
