// The demo's list of conversations: titles, pins and the search, in two tabs and with a keyboard.
import type { Locator, Page } from "@playwright/test";
import { chats, connect, finished, message, say, test, visit } from "../harness/demo.js";
import { expect } from "../harness/test.js";

const titles = (page: Page): Locator => chats(page).locator(".entry bdi");
const row = (page: Page, title: string): Locator => chats(page).filter({ hasText: title });
const tool = (page: Page, name: string): Locator => chats(page).getByRole("button", { name, exact: true });
const search = (page: Page): Locator => page.getByLabel("Search by title");

/** Begins conversations, the last one first in the list. */
async function begin(page: Page, ...questions: readonly string[]): Promise<void> {
  for (const [before, question] of questions.entries()) {
    if (before > 0) await page.getByRole("button", { name: "New", exact: true }).click();
    await say(page, question);
    await expect(chats(page)).toHaveCount(before + 1);
  }
}

test("a conversation is renamed in place with the keyboard, in every tab, and after a reload; Escape leaves its title", async ({ context, model, page, server }) => {
  await visit(page, server);
  await connect(page, model); // which does not answer: there is something to stop
  const second = await context.newPage();
  await visit(second, server);
  await begin(page, "What is a tide?");
  await tool(page, "Rename “What is a tide?”").focus();
  await page.keyboard.press("Enter");
  const box = page.getByLabel("Title of “What is a tide?”");
  await expect(box).toBeFocused();
  await box.fill("  My \n tides ");
  await page.keyboard.press("Enter");
  await expect(tool(page, "Rename “My tides”"), "the focus is where it was").toBeFocused();
  for (const tab of [page, second]) await expect(titles(tab)).toHaveText(["My tides"]);
  await expect(page.locator("#log > li[data-kind=metadata_set]")).toContainText(["title What is a tide?", "title My tides"]);

  await page.reload();
  await expect(titles(page)).toHaveText(["My tides"]);
  await tool(page, "Rename “My tides”").focus();
  await page.keyboard.press("Enter");
  await page.keyboard.type("Another title");
  await page.keyboard.press("Escape");
  await expect(tool(page, "Rename “My tides”")).toBeFocused();
  await page.keyboard.press("Enter");
  await page.keyboard.press("Enter"); // the same title
  await expect(tool(page, "Rename “My tides”")).toBeFocused();
  await expect(page.locator("#log > li[data-kind=metadata_set]"), "nothing is stored").toHaveCount(2);

  await row(second, "My tides").hover();
  await tool(second, "Rename “My tides”").click();
  await second.keyboard.press("Backspace");
  await second.getByRole("button", { name: "Store the title" }).click();
  for (const tab of [page, second]) await expect(titles(tab)).toHaveText(["What is a tide?"]);
  await expect(message(page), "Escape has stopped nothing").toHaveAttribute("data-status", "processing");
});

test("what is pinned stands first, in every tab, and the focus goes with it", async ({ context, model, page, server }) => {
  await visit(page, server);
  await connect(page, model); // which does not answer: there is no news of what was asked
  const second = await context.newPage();
  await visit(second, server);
  await begin(page, "One", "Two", "Three");
  for (const tab of [page, second]) await expect(titles(tab)).toHaveText(["Three", "Two", "One"]);
  await row(second, "Two").locator(".entry").focus();
  await tool(page, "Pin “One”").focus();
  await page.keyboard.press("Enter");
  for (const tab of [page, second]) {
    await expect(titles(tab)).toHaveText(["One", "Three", "Two"]);
    await expect(tool(tab, "Pin “One”")).toHaveAttribute("aria-pressed", "true");
  }
  await expect(tool(page, "Pin “One”")).toBeFocused();
  await expect(row(second, "Two").locator(".entry")).toBeFocused();
  await page.reload();
  await expect(titles(page)).toHaveText(["One", "Three", "Two"]);
  await tool(page, "Pin “One”").focus();
  await page.keyboard.press("Enter");
  for (const tab of [page, second]) await expect(titles(tab)).toHaveText(["Three", "Two", "One"]);
  await expect(tool(page, "Pin “One”")).toBeFocused();
});

test("the list is searched by title, also while another tab changes it, and says when nothing is found", async ({ context, model, page, server }) => {
  await visit(page, server);
  await connect(page, model); // which does not answer: there is something to stop
  await begin(page, "What is a tide?", "Who keeps the light?", "Where does kelp grow?");
  const none = page.getByText("No chat has that title.");
  await search(page).fill("  LIGHT ");
  await expect(titles(page)).toHaveText(["Who keeps the light?"]);
  const second = await context.newPage();
  await visit(second, server);
  await row(second, "tide").hover();
  await tool(second, "Rename “What is a tide?”").click();
  await second.keyboard.type("Tide and light");
  await second.keyboard.press("Enter");
  await expect(titles(page)).toHaveText(["Who keeps the light?", "Tide and light"]);
  await expect(search(page)).toBeFocused();
  await search(page).fill("lamp");
  await expect(none).toBeVisible();
  await expect(titles(page)).toHaveCount(0);
  await page.keyboard.press("Escape");
  await expect(search(page)).toHaveValue("");
  await expect(search(page)).toBeFocused();
  await expect(none).toBeHidden();
  await expect(titles(page)).toHaveCount(3);

  await search(page).fill("lamp");
  await page.getByRole("button", { name: "New", exact: true }).click();
  await expect(search(page), "what is new is in the list").toHaveValue("");
  await say(page, "What is new?");
  await expect(titles(page).first()).toHaveText("What is new?");
  await row(page, "Where does kelp grow?").locator(".entry").click();
  await expect(message(page), "Escape has stopped nothing").toHaveAttribute("data-status", "processing");
});

test("a title that cannot be stored stays in its box", async ({ page, server }) => {
  await visit(page, server);
  await begin(page, "What is a tide?");
  await finished(page);
  const add = await page.evaluateHandle(() => {
    const before = Object.getOwnPropertyDescriptor(IDBObjectStore.prototype, "add") ?? {};
    IDBObjectStore.prototype.add = () => {
      throw new DOMException("the disk is full", "QuotaExceededError");
    };
    return before;
  });
  await tool(page, "Rename “What is a tide?”").click();
  await page.keyboard.type("Tides");
  await page.keyboard.press("Enter");
  await expect(page.getByRole("alert")).toContainText("quota_exceeded");
  const box = page.getByLabel("Title of “What is a tide?”");
  await expect(box).toHaveValue("Tides");
  await expect(box).toBeFocused();
  await add.evaluate((add) => Object.defineProperty(IDBObjectStore.prototype, "add", add));
  await box.press("Enter");
  await expect(titles(page)).toHaveText(["Tides"]);
});
