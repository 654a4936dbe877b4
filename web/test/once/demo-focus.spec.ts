// The demo with a keyboard: what is pressed or focused stays while all around it changes, and what goes hands the focus on.
import type { Page } from "@playwright/test";
import { addSamples, chats, connect, finished, message, say, test, visit } from "../harness/demo.js";
import { expect } from "../harness/test.js";

const files = (page: Page, name: string) => page.getByRole("button", { name: `Delete the file “${name}”` });

test("Cancel can be pressed and focused while an answer streams; then the focus is on Try again, and after the end where one types", async ({ model, page, server }) => {
  await visit(page, server);
  await connect(page, model);
  await say(page, "What now?");
  const call = await model.next();
  const partial = message(page).locator(".partial");
  const stream = async (text: string): Promise<void> => {
    call.stream(text);
    await expect(partial).toContainText(text.trim());
  };
  await stream("One.\n\n");
  const cancel = message(page).getByRole("button", { name: "Cancel" });
  const first = await partial.locator("p").first().elementHandle();
  await cancel.focus();
  await stream("Two.\n\n");
  await expect(cancel).toBeFocused();
  expect(await first?.evaluate((paragraph) => paragraph.isConnected), "what is there can be selected").toBe(true);
  await cancel.hover();
  await page.mouse.down();
  await stream("Three.");
  await page.mouse.up();
  await expect(message(page)).toContainText("Cancelled.");
  await expect(message(page).getByRole("button", { name: "Try again" })).toBeFocused();
  await page.keyboard.press("Enter");
  await expect(cancel).toBeFocused();
  const again = await model.next();
  again.stream("All.");
  again.done();
  await finished(page);
  await expect(page.getByLabel("Message", { exact: true })).toBeFocused();
});

test("Cancel stays under the pointer while the list follows an answer", async ({ model, page, server }) => {
  await visit(page, server);
  await connect(page, model);
  await say(page, "What was?");
  const before = await model.next();
  before.stream("Line.\n\n".repeat(40));
  before.done();
  await finished(page);
  await say(page, "What now?");
  const call = await model.next();
  const partial = message(page, 1).locator(".partial");
  const grow = async (last: string): Promise<void> => {
    call.stream(`Line.\n\nLine.\n\n${last}.\n\n`);
    await expect(partial).toContainText(last);
  };
  const cancel = message(page, 1).getByRole("button", { name: "Cancel" });
  await grow("First");
  await cancel.hover();
  const place = await cancel.boundingBox();
  await grow("Second");
  expect(await cancel.boundingBox()).toEqual(place);
  await page.getByLabel("Message", { exact: true }).hover();
  await grow("Third");
  await expect(partial.getByText("Third."), "the list follows the answer").toBeInViewport({ ratio: 1 });
  await cancel.hover();
  await page.mouse.down();
  await grow("Fourth");
  await page.mouse.up();
  await expect(message(page, 1)).toContainText("Cancelled.");
});

test("what is deleted hands the focus to its neighbour, and what another tab changes leaves it alone", async ({ context, page, server }) => {
  const text = page.getByLabel("Message", { exact: true });
  await visit(page, server);
  await addSamples(page);
  await expect(text, "the button has gone").toBeFocused();
  for (const question of ["One", "Two"]) {
    await page.getByRole("button", { name: "New" }).click();
    await say(page, question);
    await expect(chats(page).filter({ hasText: question })).toHaveCount(1);
  }
  const confirm = async (): Promise<void> => {
    await page.keyboard.press("Enter");
    await page.getByRole("dialog").getByRole("button", { name: "Delete" }).focus();
    await page.keyboard.press("Enter");
  };
  await chats(page).nth(1).getByRole("button", { name: "Delete" }).focus();
  await confirm();
  await expect(chats(page)).toHaveCount(1);
  await expect(chats(page).locator(".entry")).toBeFocused();
  await files(page, "kelp.md").focus();
  await confirm();
  await expect(files(page, "kelp.md")).toHaveCount(0);
  await expect(files(page, "lighthouse.md")).toBeFocused();

  const other = await context.newPage();
  await visit(other, server);
  await other.locator("#file-chooser").setInputFiles({ name: "algae.md", mimeType: "text/markdown", buffer: Buffer.from("Green.") });
  await expect(files(page, "algae.md")).toBeVisible();
  await expect(files(page, "lighthouse.md")).toBeFocused();
  await files(other, "lighthouse.md").click();
  await other.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
  await expect(files(page, "lighthouse.md")).toHaveCount(0);
  await expect(files(page, "tides.md")).toBeFocused();
});

test("the drawer of a narrow screen has the focus while it is open, and closes when that goes elsewhere", async ({ page, server }) => {
  await visit(page, server);
  await page.setViewportSize({ width: 360, height: 740 });
  const menu = page.getByRole("button", { name: "Conversations and files" });
  const samples = page.getByRole("button", { name: "Add three sample notes" });
  await menu.press("Enter");
  await expect(page.getByRole("button", { name: "New", exact: true })).toBeFocused();
  await page.keyboard.press("Escape");
  await expect(menu).toBeFocused();
  await expect(samples).toBeHidden();
  await menu.press("Enter");
  await samples.focus();
  await page.keyboard.press("Tab");
  await expect(samples).toBeHidden();
  await expect(page.locator(":focus")).toBeInViewport();
});
