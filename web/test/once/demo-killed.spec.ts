// The demo's assistant between a step that fails and its fallback, and while it waits for the user: killed, reloaded, answered elsewhere.
import { addSamples, allow, answer, asked, asks, banner, finished, message, once, question, recovered, refuse, role, running, say, step, stories, stranger, test, visit } from "../harness/demo.js";
import { expect } from "../harness/test.js";

test("killed between a step that failed and its fallback, it takes the same way, though the step would succeed now", { tag: "@launch" }, async ({ launch, server }) => {
  const first = await launch();
  const before = await first.newPage();
  await visit(before, server);
  await addSamples(before);
  await say(before, question);
  await running(before, "search");
  await expect(step(before, "exact")).toContainText("no file says it in these words; search in its place");
  await first.kill();

  const second = await launch();
  const page = await second.newPage();
  await visit(page, server);
  expect(await recovered(page, 2), "the fallback was not done").toBe(2);
  await page.locator("#file-chooser").setInputFiles({ name: "exact.md", mimeType: "text/markdown", buffer: Buffer.from(question) });
  await allow(page);
  await expect(step(page, "exact")).toContainText("no file says it in these words");
  await finished(page);
  const [story = []] = await stories(await stranger(await second.newPage(), server));
  expect(story.filter((event) => event !== "file")).toEqual(asked(0));
});

test("a question outlives reloads and a kill, without an event for each, and is answered then", { tag: "@launch" }, async ({ launch, server }) => {
  const first = await launch();
  const before = await first.newPage();
  await visit(before, server);
  await addSamples(before);
  await say(before, question);
  await expect(asks(before)).toBeVisible();
  await expect(message(before)).toHaveAttribute("data-status", "waiting");
  const events = await before.locator("#log > li").count();
  for (let reload = 0; reload < 3; reload++) {
    await before.reload();
    await expect(asks(before)).toBeVisible();
    await expect(banner(before)).toContainText("has passed 3 of 7 steps, and waits for your answer.");
    await expect(role(before)).toHaveText("The agent asks you");
  }
  await before.getByRole("button", { name: "Crash" }).click();
  await before.getByRole("link", { name: "Reload" }).click();
  await expect(asks(before)).toBeVisible();
  await first.kill();

  const second = await launch();
  const page = await second.newPage();
  await visit(page, server);
  await expect(asks(page)).toBeVisible();
  await expect(page.locator("#log > li"), "nobody has begun what cannot go on").toHaveCount(events);
  // What it has found is stored; that the files are gone changes nothing.
  for (let left = 3; left > 0; left--) {
    await page.getByRole("button", { name: "Delete the file" }).first().click();
    await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
    await expect(page.locator("#files > li")).toHaveCount(left - 1);
  }
  await allow(page);
  await finished(page);
  await expect(answer(page).locator("cite")).toHaveText(["kelp.md, The holdfast", "lighthouse.md, Storms"]);
  expect(await stories(await stranger(await second.newPage(), server))).toEqual([asked(2)]);
});

test("refused, it reads one file and says so; killed after the answer it asks no more, nor for the next message", async ({ context, page, server }) => {
  await visit(page, server);
  await addSamples(page);
  await say(page, question);
  await refuse(page);
  await running(page, "compare");
  await page.getByRole("button", { name: "Crash" }).click();
  await page.getByRole("link", { name: "Reload" }).click();
  await recovered(page, 5);
  await finished(page);
  await expect(answer(page).locator("cite")).toHaveText(["kelp.md, The holdfast"]);
  await expect(answer(page)).toContainText("I have not read lighthouse.md, as you wished.");
  await say(page, "How fast does kelp grow?");
  await finished(page, 1);
  await expect(answer(page, 1)).toContainText("I have not read tides.md, as you wished.");
  await expect(step(page, "consent", 1)).toContainText("not needed");
  expect(await stories(await stranger(await context.newPage(), server))).toEqual([asked(1), once(1)]);
});

test("the question is in every tab, read out, and answered from one of them with the keyboard; the first answer counts", async ({ context, page, server }) => {
  await visit(page, server);
  await addSamples(page);
  await say(page, question);
  const second = await context.newPage();
  await visit(second, server);
  for (const tab of [page, second]) {
    await expect(asks(tab)).toBeVisible();
    await expect(tab.locator("#live")).toHaveText("The agent asks: Read all files? kelp.md and lighthouse.md say something about it, and kelp.md fits best.");
    await expect(role(tab)).toHaveText("The agent asks you");
    await expect(asks(tab).getByRole("button")).toHaveText(["Read all 2", "Only kelp.md"]);
  }
  await second.getByLabel("Message", { exact: true }).focus();
  await second.keyboard.press("Shift+Tab");
  await expect(asks(second).getByRole("button", { name: "Only kelp.md" })).toBeFocused();
  await second.keyboard.press("Enter");
  await expect(second.getByLabel("Message", { exact: true })).toBeFocused();
  for (const tab of [page, second]) await expect(asks(tab)).toBeHidden();
  const roles = async (): Promise<string[]> => [await role(page).innerText(), await role(second).innerText()].sort();
  await expect.poll(roles, { intervals: [50] }).toEqual(["Another tab works, this one follows", "The agent works here"]);
  await finished(page);
  await finished(second);
  await expect(answer(page)).toContainText("I have not read lighthouse.md, as you wished.");
  expect(await stories(await stranger(await context.newPage(), server))).toEqual([asked(1)]);
});

test("a message that waits for an answer can be cancelled, and asks again when it is tried again", async ({ context, page, server }) => {
  await visit(page, server);
  await addSamples(page);
  await say(page, question);
  await expect(message(page)).toHaveAttribute("data-status", "waiting");
  await message(page).getByRole("button", { name: "Cancel" }).click();
  await expect(asks(page)).toBeHidden();
  await expect(role(page)).toHaveText("Ready");
  await message(page).getByRole("button", { name: "Try again" }).click();
  await allow(page);
  await finished(page);
  const story = asked(2);
  story.splice(story.indexOf("consent"), 0, "cancelled", "retried");
  expect(await stories(await stranger(await context.newPage(), server))).toEqual([story]);
});
