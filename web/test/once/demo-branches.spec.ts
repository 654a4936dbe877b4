// The demo's branches: a question that is edited or asked once more gets a sibling, and arrows choose which one is seen.
import type { Locator, Page } from "@playwright/test";
import { addSamples, answer, asks, chats, connect, finished, message, question, role, running, say, test, visit } from "../harness/demo.js";
import type { Call, Model } from "../harness/model.js";
import { expect } from "../harness/test.js";

const messages = (page: Page): Locator => page.locator("#messages > li");
const asked = (page: Page): Locator => page.locator("#messages .bubble.person");
const composer = (page: Page): Locator => page.getByLabel("Message", { exact: true });
const box = (page: Page): Locator => page.getByLabel("Edit the question");
const press = (page: Page, name: string, index = 0): Promise<void> => message(page, index).getByRole("button", { name, exact: true }).click();
const versions = (page: Page, index = 0): Locator => message(page, index).getByRole("group", { name: /^Version/ });
const unseen = (page: Page): Locator => page.getByText("The agent is at another version of a question.");

/** What a model is given, without what it is told to be. */
const given = ({ body }: Call): string[] | undefined => body.messages?.slice(1).map(({ content }) => content);

/** Has the model answer what was sent. Returns what it was given. */
async function reply(page: Page, model: Model, text: string): Promise<string[] | undefined> {
  const call = await model.next();
  call.stream(text);
  call.done();
  await expect(page.locator("#messages .markdown").last()).toHaveText(text);
  await finished(page, (await messages(page).count()) - 1);
  return given(call);
}

/** Sends another question in the place of one. */
async function edit(page: Page, index: number, text: string): Promise<void> {
  await press(page, "Edit", index);
  await box(page).fill(text);
  await page.keyboard.press("Enter");
  await expect(asked(page).last()).toHaveText(text);
}

test("an edited question is a sibling: the model is given its branch alone, arrows choose what is seen, and a reload keeps both", async ({ model, page, server }) => {
  await visit(page, server);
  await connect(page, model);
  await say(page, "One");
  expect(await reply(page, model, "First.")).toEqual(["One"]);
  await expect(versions(page), "there is one").toBeHidden();
  await say(page, "Two");
  expect(await reply(page, model, "Second.")).toEqual(["One", "First.", "Two"]);
  await say(page, "Three");
  expect(await reply(page, model, "Third.")).toEqual(["One", "First.", "Two", "Second.", "Three"]);
  await edit(page, 1, "Deux");
  await expect(composer(page)).toBeFocused();
  expect(await reply(page, model, "Deuxième.")).toEqual(["One", "First.", "Deux"]);
  await expect(asked(page)).toHaveText(["One", "Deux"]);
  await expect(versions(page, 1)).toHaveAccessibleName("Version 2 of 2");
  await expect(versions(page, 1)).toContainText("2 / 2");
  await say(page, "Trois");
  expect(await reply(page, model, "Troisième."), "what is sent next follows what is seen").toEqual(["One", "First.", "Deux", "Deuxième.", "Trois"]);

  await press(page, "Version before", 1);
  await expect(asked(page)).toHaveText(["One", "Two", "Three"]);
  await expect(page.locator("#live")).toHaveText("Version 1 of 2: Two");
  await say(page, "Four");
  expect(await reply(page, model, "Fourth.")).toEqual(["One", "First.", "Two", "Second.", "Three", "Third.", "Four"]);
  await edit(page, 0, "Un");
  expect(await reply(page, model, "Premier."), "the first one follows none").toEqual(["Un"]);
  await expect(asked(page)).toHaveText(["Un"]);
  await expect(chats(page), "its name stays").toContainText(["One"]);

  await page.reload();
  await expect(asked(page)).toHaveText(["Un"]);
  await press(page, "Version before");
  await expect(asked(page)).toHaveText(["One", "Two", "Three", "Four"]);
  await press(page, "Next version", 1);
  await expect(asked(page)).toHaveText(["One", "Deux", "Trois"]);
  await expect(answer(page, 2)).toHaveText("Troisième.");
  await page.getByRole("button", { name: "New", exact: true }).click();
  await chats(page).locator(".entry").click();
  await expect(asked(page), "it is remembered while the page is open").toHaveText(["One", "Deux", "Trois"]);
});

test("an answered question is asked once more, with the same body and history", async ({ model, page, server }) => {
  await visit(page, server);
  await connect(page, model);
  await say(page, "One");
  await reply(page, model, "First.");
  await say(page, "Two");
  await reply(page, model, "Second.");
  await message(page, 1).getByRole("button", { name: "Answer again" }).focus();
  await page.keyboard.press("Enter");
  await expect(versions(page, 1)).toHaveAccessibleName("Version 2 of 2");
  await expect(composer(page)).toBeFocused();
  expect(await reply(page, model, "Another.")).toEqual(["One", "First.", "Two"]);
  await press(page, "Answer again", 1);
  await expect(versions(page, 1)).toHaveAccessibleName("Version 3 of 3");
  expect(await reply(page, model, "A third.")).toEqual(["One", "First.", "Two"]);
  await expect(asked(page)).toHaveText(["One", "Two"]);
  await press(page, "Version before", 1);
  await expect(answer(page, 1)).toHaveText("Another.");
});

test("the keyboard goes through versions, and the focus stays at the arrows; Escape leaves a box and stops nothing", async ({ model, page, server }) => {
  await visit(page, server);
  await connect(page, model);
  await say(page, "A");
  await reply(page, model, "a");
  await edit(page, 0, "B");
  await reply(page, model, "b");
  await edit(page, 0, "C");
  const call = await model.next();
  const at = async (place: number, name: string): Promise<void> => {
    await expect(versions(page)).toHaveAccessibleName(`Version ${place} of 3`);
    await expect(message(page).getByRole("button", { name, exact: true })).toBeFocused();
  };
  await message(page).getByRole("button", { name: "Version before" }).focus();
  await page.keyboard.press("Enter");
  await at(2, "Version before");
  await page.keyboard.press("Enter");
  await at(1, "Next version"); // there is none before
  await page.keyboard.press("Enter");
  await at(2, "Next version");
  await page.keyboard.press("Enter");
  await at(3, "Version before");

  await message(page).getByRole("button", { name: "Edit" }).focus();
  await page.keyboard.press("Enter");
  await expect(box(page)).toBeFocused();
  await expect(box(page)).toHaveValue("C");
  await page.keyboard.type(" and D");
  await page.keyboard.press("Shift+Enter");
  await page.keyboard.type("and E");
  await expect(box(page)).toHaveValue("C and D\nand E");
  await page.keyboard.press("Escape");
  await expect(message(page).getByRole("button", { name: "Edit" })).toBeFocused();
  await expect(asked(page)).toHaveText(["C"]);
  await page.keyboard.press("Enter");
  await box(page).fill(" ");
  await page.keyboard.press("Enter");
  await expect(box(page).locator("..").getByRole("button", { name: "Send" })).toBeDisabled();
  await press(page, "Leave");
  await expect(message(page).getByRole("button", { name: "Edit" })).toBeFocused();
  call.stream("c");
  call.done();
  await finished(page);
  await expect(answer(page)).toHaveText("c");
  await expect(versions(page)).toHaveAccessibleName("Version 3 of 3");
});

test("an edit that cannot be stored stays in its box, and is sent from there", async ({ page, server }) => {
  await visit(page, server);
  await say(page, "What is a tide?");
  await finished(page);
  const add = await page.evaluateHandle(() => {
    const before = Object.getOwnPropertyDescriptor(IDBObjectStore.prototype, "add") ?? {};
    IDBObjectStore.prototype.add = () => {
      throw new DOMException("the disk is full", "QuotaExceededError");
    };
    return before;
  });
  await press(page, "Edit");
  await box(page).fill("What is an ebb tide?");
  await page.keyboard.press("Enter");
  await expect(page.getByRole("alert")).toContainText("quota_exceeded");
  await expect(box(page)).toHaveValue("What is an ebb tide?");
  await expect(box(page)).toBeFocused();
  await add.evaluate((add) => Object.defineProperty(IDBObjectStore.prototype, "add", add));
  await page.keyboard.press("Enter");
  await expect(asked(page)).toHaveText(["What is an ebb tide?"]);
  await expect(versions(page)).toHaveAccessibleName("Version 2 of 2");
  await finished(page);
});

test("a tab stays on the branch that it sees, and what is typed there stays, while another one edits", async ({ context, model, page, server }) => {
  await visit(page, server);
  await connect(page, model);
  await say(page, "One");
  await reply(page, model, "First.");
  const second = await context.newPage();
  await visit(second, server);
  await press(second, "Edit");
  await box(second).fill("Half a thou");
  await edit(page, 0, "Un");
  const call = await model.next();
  await expect(unseen(second)).toBeVisible();
  await expect(box(second)).toHaveValue("Half a thou");
  await expect(box(second)).toBeFocused();
  await second.keyboard.type("ght");
  await second.keyboard.press("Enter");
  await expect(asked(second)).toHaveText(["Half a thought"]);
  await expect(versions(second)).toHaveAccessibleName("Version 3 of 3");
  await expect(message(second), "one after the other").toContainText("Stored, and waiting");
  await expect(asked(page)).toHaveText(["Un"]);
  await second.getByRole("button", { name: "Show it" }).click();
  await expect(asked(second)).toHaveText(["Un"]);
  await expect(unseen(second)).toBeHidden();
  await expect(composer(second)).toBeFocused();
  call.stream("Premier.");
  call.done();
  await finished(page);
  expect(given(await model.next())).toEqual(["Half a thought"]);
  await expect(unseen(page)).toBeVisible();
});

test("what the agent asks about a version that is not seen can be found and answered", async ({ page, server }) => {
  await visit(page, server);
  await addSamples(page);
  await say(page, "And the tide?"); // a file has these words, so nothing is asked
  await finished(page);
  await edit(page, 0, question);
  await expect(asks(page)).toBeVisible();
  await press(page, "Version before");
  await expect(asks(page)).toHaveCount(0);
  await expect(unseen(page)).toBeVisible();
  await expect(role(page)).toHaveText("The agent asks you");
  await page.getByRole("button", { name: "Show it" }).click();
  await asks(page).getByRole("button", { name: "Only kelp.md" }).click();
  await finished(page);
  await expect(answer(page)).toContainText("I have not read lighthouse.md, as you wished.");
  // What was answered there is known there only.
  await press(page, "Version before");
  await say(page, question);
  await expect(asks(page, 1)).toBeVisible();
  await press(page, "Next version");
  await page.keyboard.press("Escape"); // it stops what runs, seen or not
  await press(page, "Version before");
  await expect(message(page, 1)).toContainText("Cancelled.");
});

test("killed between an edit and its answer, the answer of the edited branch comes after the reload", { tag: "@launch" }, async ({ launch, server }) => {
  const first = await launch();
  const before = await first.newPage();
  await visit(before, server);
  await addSamples(before);
  await say(before, "Which oil did the lamp burn?");
  await finished(before);
  await edit(before, 0, "How fast does kelp grow?");
  await running(before, "search");
  await first.kill();

  const second = await launch();
  const page = await second.newPage();
  await visit(page, server);
  await expect(asked(page)).toHaveText(["How fast does kelp grow?"]);
  await expect(versions(page)).toHaveAccessibleName("Version 2 of 2");
  await asks(page).getByRole("button", { name: "Read all" }).click();
  await finished(page);
  await expect(answer(page)).toContainText("half a metre in a day");
  await press(page, "Version before");
  await expect(asked(page)).toHaveText(["Which oil did the lamp burn?"]);
  await finished(page);
  await expect(answer(page)).toContainText("paraffin");
});
