// The client of docs/chat-client.md, as it stands there: type-checked, bundled, and killed.
import type { Page } from "@playwright/test";
import { applicationTest, crash, readDocument, typeErrors, visit } from "./harness/document.js";
import { expect } from "./harness/test.js";

const guide = readDocument("make-your-agent-survive.md").files;
const client = readDocument("chat-client.md").files;

const test = applicationTest(
  new Map([
    ...["agent.ts", "tokens.ts"].map((name) => [name, guide.get(name) ?? ""] as const),
    ...client,
    ["client.html", `<!doctype html><link rel="icon" href="data:," /><div></div><script type="module" src="./client.tsx"></script>`],
  ]),
);

const rows = (page: Page): ReturnType<Page["getByRole"]> => page.getByRole("navigation").getByRole("button");

async function ask(page: Page, question: string): Promise<void> {
  await page.getByRole("textbox").fill(question);
  await page.getByRole("button", { name: "Ask" }).click();
  await expect(page.getByRole("textbox")).toHaveValue("");
}

test("two conversations that a crash has interrupted go on, whichever is shown, and the list says so in every tab", async ({ context, model }) => {
  const other = await visit(await context.newPage(), model, "/client.html");
  let page = await visit(await context.newPage(), model, "/client.html");
  await ask(page, "How deep is the sea?");
  (await model.next()).say("depth of the sea");
  const first = await model.next();
  await page.getByRole("button", { name: "New chat" }).click();
  await ask(page, "How high is the sky?");
  const second = await model.next();
  for (const each of [page, other]) await expect(rows(each)).toHaveText(["New chat", "How high is the sky? works", "How deep is the sea? works"]);
  await other.close();
  await crash(page);
  await Promise.all([first.gone, second.gone]);

  page = await visit(await context.newPage(), model, "/client.html");
  const keys: (string | undefined)[] = [];
  for (let left = 5; left > 0; left--) {
    const call = await model.next();
    keys.push(call.key);
    if (call.body.stream === true) {
      call.stream("Far.");
      call.done();
    } else call.say("something");
  }
  expect(keys).toContain(first.key);
  expect(keys).toContain(second.key);
  await expect(rows(page).filter({ hasText: "works" })).toHaveCount(0);
  await rows(page).filter({ hasText: "sea" }).click();
  await expect(page.getByRole("listitem")).toContainText("How deep is the sea?");
  await expect(page.getByRole("listitem")).toContainText("Far.");
});

test("an edited question and an answer given again are branches, which the user chooses from, also after a crash", async ({ context, model }) => {
  let page = await visit(await context.newPage(), model, "/client.html");
  const answer = async (text: string): Promise<void> => {
    let call = await model.next();
    for (; call.body.stream !== true; call = await model.next()) call.say("something");
    call.stream(text);
    call.done();
  };
  const turns = (): ReturnType<Page["getByRole"]> => page.getByRole("listitem");
  const button = (turn: number, name: string | RegExp): ReturnType<Page["getByRole"]> => turns().nth(turn).getByRole("button", { name });
  await ask(page, "How deep is the sea?");
  await answer("Deep.");
  await ask(page, "And the sky?");
  await answer("High.");
  await expect(turns()).toHaveText([/sea.*Deep/, /sky.*High/]);
  page.once("dialog", (dialog) => void dialog.accept("How deep is the lake?"));
  await button(0, "Edit").click();
  await expect(turns()).toHaveText([/2 of 2.*lake/]);
  await model.next();
  await crash(page);
  page = await visit(await context.newPage(), model, "/client.html");
  await rows(page).filter({ hasText: "sea" }).click();
  await answer("Shallow.");
  await expect(turns()).toHaveText([/2 of 2.*lake.*Shallow/]);
  await button(0, "Answer again").click();
  await answer("Not deep.");
  await expect(turns()).toHaveText([/3 of 3.*lake.*Not deep/]);
  await button(0, "3 of 3").click();
  await expect(turns()).toHaveText([/1 of 3.*sea.*Deep/, /sky.*High/]);
});

test("what two tabs ask at once is a list in both", async ({ context, model }) => {
  const page = await visit(await context.newPage(), model, "/client.html");
  await ask(page, "One");
  const other = await visit(await context.newPage(), model, "/client.html");
  await rows(other).filter({ hasText: "One" }).click();
  await expect(other.getByRole("listitem")).toHaveCount(1);
  await ask(other, "Two"); // both have asked something before
  await expect(page.getByRole("listitem")).toHaveCount(2);
  await Promise.all([ask(page, "Three"), ask(other, "Four")]);
  for (const each of [page, other]) {
    await expect(each.getByRole("listitem")).toHaveCount(4);
    await expect(each.getByRole("button", { name: / of / })).toHaveCount(0);
  }
});

test("a conversation is renamed and deleted, in every tab", async ({ context, model }) => {
  const page = await visit(await context.newPage(), model, "/client.html");
  const other = await visit(await context.newPage(), model, "/client.html");
  await ask(page, "How deep is the sea?");
  await expect(rows(other)).toHaveText(["New chat", "How deep is the sea? works"]);
  page.once("dialog", (dialog) => void dialog.accept("The sea"));
  await page.getByRole("button", { name: "Rename" }).click();
  for (const each of [page, other]) await expect(rows(each)).toHaveText(["New chat", "The sea works"]);
  await page.getByRole("button", { name: "Delete" }).click();
  for (const each of [page, other]) await expect(rows(each)).toHaveText(["New chat"]);
});

test("its code has no type errors", ({ application }) => {
  expect(typeErrors(application, [...client.keys()])).toBe("");
});
