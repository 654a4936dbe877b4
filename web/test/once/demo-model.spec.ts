// The demo with a language model: at an address, and the browser's own.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Page } from "@playwright/test";
import { addSamples, answer, banner, finished, message, recovered, role, say, step, stories, stranger, test, visit } from "../harness/demo.js";
import type { Model } from "../harness/model.js";
import type * as Demo from "../pages/demo.js";
import { expect } from "../harness/test.js";

const key = "sk-not-to-be-stored-4711";
const question = "What holds kelp in a storm?";
const steps = ["query", "words", "search", "answer"];
const once = ["received", "query", "search", "answer", "finished"];

/** Fills in where the model is. */
async function connect(page: Page, model: Model, keep = false): Promise<void> {
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("Address").fill(`${model.origin}/v1/`);
  await dialog.getByLabel("Model").fill("small");
  await dialog.getByLabel("Key, if one is needed").fill(key);
  await dialog.getByLabel("Keep this").setChecked(keep);
  await dialog.getByRole("button", { name: "Connect" }).click();
  await expect(dialog).toBeHidden();
}

async function choose(page: Page, model: Model, keep = false): Promise<void> {
  await page.getByLabel("Who answers").selectOption("Language model at an address");
  await connect(page, model, keep);
}

/** Whether a text is anywhere in a folder. */
function holds(folder: string, text: string): string[] {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  return files.map(({ parentPath, name }) => join(parentPath, name)).filter((file) => readFileSync(file).includes(text));
}

test("a page killed in the middle of the stream goes on with the answer, and asks for nothing again that it has", { tag: "@launch" }, async ({ launch, model, profile, server }) => {
  const first = await launch();
  const before = await first.newPage();
  await visit(before, server);
  await addSamples(before);
  await choose(before, model);
  await say(before, question);
  const query = await model.next();
  expect(query).toMatchObject({ path: "/v1/chat/completions", authorization: `Bearer ${key}`, body: { model: "small" } });
  expect(query.body.messages?.[0]?.content).toContain(question);
  query.say("holdfast kelp anchored");
  const lost = await model.next();
  expect(lost.body.stream).toBe(true);
  expect(lost.body.messages?.at(-1)?.content).toContain("A kelp is anchored by its holdfast");
  lost.stream("> It is anchored", " by its holdfast");
  await expect(message(before).locator(".partial")).toContainText("by its holdfast");
  await first.kill();
  await lost.gone;
  expect(holds(profile, key), "the key is kept out of storage").toEqual([]);

  const second = await launch();
  const page = await second.newPage();
  await visit(page, server);
  await recovered(page, 3, steps);
  await expect(message(page).locator(".partial"), "what had streamed is still there").toContainText("by its holdfast");
  await expect(page.getByText("A message waits until it is known where the language model is.")).toBeVisible();
  await page.locator("#wanted").getByRole("button", { name: "Connect" }).click();
  await connect(page, model);
  const whole = await model.next();
  expect(whole.body, "the same question, with the same passages").toEqual(lost.body);
  whole.stream("> The holdfast holds.\n", "— kelp.md\n\n", "That is all.");
  whole.done();
  await finished(page);
  await expect(answer(page).locator("blockquote")).toContainText("The holdfast holds.");
  await expect(answer(page).locator("cite")).toHaveText("kelp.md");
  expect(model.counts).toEqual({ "/v1/chat/completions": 3 });
  expect(await stories(await stranger(await second.newPage(), server))).toEqual([once]);
});

test("a query that fails for good is replaced by the words of the question; no attempt of before a crash is made again", async ({ complaints, context, model, page, server }) => {
  await visit(page, server);
  await addSamples(page);
  await choose(page, model, true);
  await say(page, question);
  (await model.next()).fail(503);
  await model.next(); // the second try, under way
  await expect(step(page, "query")).toContainText("try 1 failed: the model answered 503");
  await page.getByRole("button", { name: "Crash" }).click();
  await page.getByRole("link", { name: "Reload" }).click();
  await expect(step(page, "query")).toContainText("try 1 failed: the model answered 503");
  (await model.next()).fail(503);
  const lost = await model.next();
  expect(lost.body.messages?.at(-1)?.content, "found by the words of the question").toContain("A kelp is anchored by its holdfast");
  await expect(step(page, "query")).toContainText("the model answered 503: ; words in its place");
  await expect(step(page, "words")).toContainText("holds kelp storm");
  await page.reload();
  const whole = await model.next();
  expect(whole.body, "the same question, with the same passages").toEqual(lost.body);
  whole.stream("Its holdfast.");
  whole.done();
  await finished(page);
  expect(model.counts, "three queries, of which one was lost, and two answers").toEqual({ "/v1/chat/completions": 5 });
  const story = ["received", "query: failed", "query: failed", "words", "search", "answer", "finished"];
  expect(await stories(await stranger(await context.newPage(), server))).toEqual([story]);
  expect(complaints.splice(0).length, "the browser tells of each refusal").toBe(2);
});

test("with the user's leave the connection is kept, and after a kill it goes on unasked", { tag: "@launch" }, async ({ launch, model, server }) => {
  const first = await launch();
  const before = await first.newPage();
  await visit(before, server);
  await choose(before, model, true);
  await say(before, question);
  (await model.next()).stream("Half"); // there are no files, so nothing is asked for a query
  await expect(message(before).locator(".partial")).toContainText("Half");
  await first.close();

  const second = await launch();
  const page = await second.newPage();
  await visit(page, server);
  const again = await model.next();
  again.stream("Whole.");
  again.done();
  await finished(page);
  await expect(answer(page)).toHaveText("Whole.");
  // What was said before is part of the next question.
  await say(page, "And then?");
  const next = await model.next();
  expect(next.body.messages?.slice(1).map(({ content }) => content)).toEqual([question, "Whole.", "And then?"]);
  next.stream("The end.");
  next.done();
  await finished(page, 1);
});

test("a second tab learns of the connection from the first, and goes on without asking when that is gone", async ({ context, model, page, server }) => {
  await visit(page, server);
  await choose(page, model);
  await say(page, question);
  const lost = await model.next();
  const second = await context.newPage();
  await visit(second, server);
  lost.stream("Seen in ", "both");
  for (const tab of [page, second]) await expect(message(tab).locator(".partial")).toContainText("Seen in both");
  await page.close();
  const again = await model.next();
  again.stream("Done.");
  again.done();
  await finished(second);
  await expect(answer(second)).toHaveText("Done.");
  await expect(second.locator("#wanted")).toBeHidden();
});

test("cancel ends the request; a stream that is cut off is asked for again; what is final fails the message", async ({ complaints, model, page, server }) => {
  await visit(page, server);
  await choose(page, model);
  await say(page, question);
  const cancelled = await model.next();
  cancelled.stream("Never ");
  await message(page).getByRole("button", { name: "Cancel" }).click();
  await cancelled.gone;
  await expect(message(page)).toContainText("Cancelled.");
  await message(page).getByRole("button", { name: "Try again" }).click();
  const cut = await model.next();
  cut.stream("Half an");
  cut.breakOff();
  (await model.next()).fail(503);
  (await model.next()).fail(401);
  await expect(message(page)).toContainText("It has failed. TerminalError: the model answered 401");
  expect(complaints.splice(0).length, "the browser tells of each refusal").toBe(2);
  await message(page).getByRole("button", { name: "Try again" }).click();
  const whole = await model.next();
  whole.stream("Whole.");
  whole.done();
  await finished(page);
  await expect(answer(page)).toHaveText("Whole.");
});

test("an answer that has reached its limit says so, and one that has ended without [DONE] has ended", async ({ model, page, server }) => {
  await visit(page, server);
  await choose(page, model);
  await say(page, question);
  const long = await model.next();
  long.stream("Half an ans");
  long.done("length");
  await finished(page);
  await expect(answer(page)).toContainText("Half an ans");
  await expect(answer(page)).toContainText("[The answer ends here: it has reached the length that the model may answer with.]");
  await say(page, question);
  const whole = await model.next();
  whole.stream("Whole.");
  whole.end("stop");
  await finished(page, 1);
  await expect(answer(page, 1)).toHaveText("Whole.");
  expect(model.counts).toEqual({ "/v1/chat/completions": 2 });
});

test("what a model says in place of an answer is said, nothing is no answer, and an answer ends with its reason", async ({ model, page, server }) => {
  await visit(page, server);
  await addSamples(page);
  await choose(page, model);
  await say(page, question);
  (await model.next()).say(" ");
  await expect(step(page, "query")).toContainText("try 1 failed: the model has answered nothing");
  (await model.next()).say("holdfast");
  const wrong = [
    ['{"error":"out of memory"}', "out of memory"],
    ['{"error":{"type":"overloaded"}}', '{"type":"overloaded"}'],
    ["[DONE]", "the model has answered nothing"],
  ] as const;
  for (const [i, [data, said]] of wrong.entries()) {
    (await model.next()).end(undefined, `data: ${data}\n\ndata: [DONE]\n\n`);
    await expect(step(page, "answer")).toContainText(`try ${i + 1} failed: ${said}`);
  }
  const half = await model.next();
  half.stream("Half");
  half.end(""); // no reason, as some services have it in each event
  await expect(step(page, "answer")).toContainText("try 4 failed: the answer was cut off");
  const whole = await model.next();
  whole.stream("Whole.");
  whole.finish("stop");
  await finished(page);
  await expect(answer(page)).toHaveText("Whole.");
});

test("an address that the page may not ask gets no request, and an error that says why", async ({ model, page, server }) => {
  await visit(page, server);
  await page.getByLabel("Who answers").selectOption("Language model at an address");
  const address = page.getByRole("dialog").getByLabel("Address");
  const said = (): Promise<string> => address.evaluate((input: HTMLInputElement) => input.validationMessage);
  await address.fill("http://192.168.0.7:11434/v1");
  expect(await said()).toMatch(/over HTTPS, and over HTTP only on this computer: .* forbid http:\/\/192\.168\.0\.7:11434\./);
  for (const fine of ["https://192.168.0.7/v1", "http://localhost:11434/v1", `${model.origin}/v1`]) {
    await address.fill(fine);
    expect(await said()).toBe("");
  }
  await page.keyboard.press("Escape");
  // From a tab of before, or from storage.
  await page.evaluate(() => new BroadcastChannel("holdfast-demo:connection").postMessage({ connection: { address: "http://192.168.0.7/v1", model: "small", key: "" } }));
  await say(page, question);
  await expect(message(page)).toContainText("It has failed. TerminalError: This page asks models over HTTPS");
});

test("settings that are no JSON, and news that are no connection, are none", async ({ page, server }) => {
  await page.goto(server.origin);
  await page.evaluate(() => localStorage.setItem("holdfast-demo:connection", '{"address":"https://'));
  await visit(page, server);
  await page.evaluate(() => {
    for (const news of [null, "text", { connection: { address: 1 } }]) new BroadcastChannel("holdfast-demo:connection").postMessage(news);
  });
  await page.getByLabel("Who answers").selectOption("Language model at an address");
  await expect(page.getByRole("dialog").getByLabel("Address")).toHaveValue("");
});

test("a message that was cancelled before it asks for a connection waits for none", async ({ page, server }) => {
  await page.goto(server.origin);
  const asked = await page.evaluate(async (path) => {
    const { Settings } = (await import(path)) as typeof Demo;
    const settings = new Settings(() => undefined);
    const end = await settings.connection(AbortSignal.abort(new Error("cancelled"))).catch((error: Error) => error.message);
    return [end, settings.wanted];
  }, "/bundle/demo.js");
  expect(asked).toEqual(["cancelled", false]);
});

test("hostile files and questions of any length are searched in time", async ({ page, server }) => {
  await page.goto(server.origin);
  const found = await page.evaluate(async (path) => {
    const { passagesOf, quote, search } = (await import(path)) as typeof Demo;
    const n = 2_000_000; // as much as a file may have; to look at each blank from each other one would take hours
    const texts = [`${"\r".repeat(n)}x`, `# a${" ".repeat(n)}b`, `# ${"#".repeat(n)}b`, `${"\n".repeat(n)}x`, `${" \n".repeat(n / 2)}x`, `${"1".repeat(n)}x`, `# T #\n${" ".repeat(n)}- x`];
    const passages = texts.map((text) => passagesOf({ name: "f", text }));
    const words = Array.from({ length: 4_000 }, (_, i) => `word${i}`).join(" ");
    return {
      last: passages.map((all) => all.at(-1)?.text.slice(-1)),
      heading: passages.at(-1)?.[0]?.heading,
      quoted: quote([{ name: "f", text: "It is so. " }], `it is so${".".repeat(n)}`).length,
      asked: search([{ name: "f", text: words }], words).map((passage) => passage.words.length > 0).includes(true),
    };
  }, "/bundle/demo.js");
  expect(found).toEqual({ last: ["x", undefined, undefined, "x", "x", "x", "x"], heading: "T", quoted: 1, asked: true });
});

test("without a network a message waits, and goes on when there is one", async ({ complaints, context, model, page, server }) => {
  await visit(page, server);
  await choose(page, model);
  await context.setOffline(true);
  await expect(role(page)).toContainText("no network");
  await say(page, question);
  await expect(message(page)).toContainText("Working on it");
  await expect.poll(() => complaints.length, { message: "a request was tried" }).toBe(1);
  await context.setOffline(false);
  const call = await model.next();
  call.stream("There you are.");
  call.done();
  await finished(page);
  await expect(role(page)).toHaveText("Ready");
  expect(complaints.splice(0).join()).toContain("ERR_INTERNET_DISCONNECTED");
});

test("the browser is asked for its own model when somebody wants it, and says then that it has none", async ({ complaints, page, server }) => {
  await visit(page, server); // and nothing on the console: that is for each test of the demo
  const agent = page.getByLabel("Who answers");
  await agent.selectOption("This browser's own model");
  await expect(page.getByRole("alert")).toContainText("This browser has no model for this page");
  await expect(agent).toHaveValue("research");
  await expect(agent.locator("option")).toHaveText(["Research assistant, offline", "Language model at an address"]);
  expect(complaints.splice(0), "what the browser has to say of it").not.toEqual([]);
  await say(page, question);
  await expect(role(page)).toHaveText("The agent works here");
});

test("the browser's own model is offered where there is one, and answers", async ({ context, page, server }) => {
  // The browser of the tests has the interface and no model, so that a stand-in has to answer, as the specification says.
  await page.addInitScript(() => {
    const session = {
      promptStreaming: (prompt: string) => new Blob([`You asked: ${prompt}`]).stream().pipeThrough(new TextDecoderStream()),
      destroy: () => undefined,
    };
    Object.assign(globalThis, { LanguageModel: { availability: () => Promise.resolve("available"), create: () => Promise.resolve(session) } });
  });
  await visit(page, server);
  await page.getByLabel("Who answers").selectOption("This browser's own model");
  await say(page, question);
  await finished(page);
  await expect(answer(page)).toHaveText(`You asked: ${question}`);

  // In another tab there is none: the message was answered by one, and that one is not offered.
  const without = await context.newPage();
  await without.addInitScript(() => Reflect.deleteProperty(globalThis, "LanguageModel"));
  await visit(without, server);
  await expect(banner(without)).toContainText("nothing left to do");
  await expect(without.getByLabel("Who answers").locator("option")).toHaveText(["Research assistant, offline", "Language model at an address"]);
  await expect(answer(without)).toHaveText(`You asked: ${question}`);
});
