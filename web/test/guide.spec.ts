// The guide's code, as it stands there: type-checked, bundled, and killed in the middle of its calls.
import type { Page } from "@playwright/test";
import { applicationTest, crash, readDocument, typeErrors, visit } from "./harness/document.js";
import type { Model } from "./harness/model.js";
import { expect } from "./harness/test.js";

const guide = readDocument("make-your-agent-survive.md");

const test = applicationTest(
  new Map([
    ...guide.files,
    // The old page: a question in, an answer out.
    ["before.html", `<!doctype html><link rel="icon" href="data:," /><p></p><script type="module" src="./before-main.ts"></script>`],
    [
      "before-main.ts",
      `import { answer } from "./before.js";
      const place = document.querySelector("p")!;
      Object.assign(window, { ask: (question: string) => void answer(question, (text) => (place.textContent = text)) });`,
    ],
    ["events.html", `<!doctype html><link rel="icon" href="data:," /><p></p><script type="module" src="./events-main.ts"></script>`],
    [
      "events-main.ts",
      `import { tokens } from "./tokens.js";
      Object.assign(window, { read: async (body: BodyInit) => { let text = ""; for await (const token of tokens(new Response(body))) text += token; return text; } });`,
    ],
  ]),
);

async function ask(page: Page, question: string): Promise<void> {
  await page.getByRole("textbox").fill(question);
  await page.getByRole("button", { name: "Ask" }).click();
  await expect(page.getByRole("textbox")).toHaveValue("");
}

const item = (page: Page): ReturnType<Page["getByRole"]> => page.getByRole("listitem");
const button = (page: Page, name: string): ReturnType<Page["getByRole"]> => item(page).getByRole("button", { name });

/** Answers the plan and the search of a question; what is asked next is the answer. */
async function answerTwo(model: Model): Promise<void> {
  (await model.next()).say("depth of the sea");
  (await model.next()).say("10,935 m");
}

/** How often each step of the one message was requested: the keys are those of its steps, in their order. */
function requests({ counts }: Model): Record<string, number> {
  expect(Object.keys(counts).join(" ")).toMatch(/^([0-9a-f]{32} ?)*$/);
  return Object.fromEntries(Object.values(counts).map((count, i) => [`step ${i}`, count]));
}

test("a page killed in the middle of the second and the third call completes the answer, and requests no completed call again", async ({ context, model }) => {
  let page = await visit(await context.newPage(), model);
  await ask(page, "How deep is the sea?");
  const plan = await model.next();
  expect(plan.body.messages).toEqual([{ role: "user", content: "What would you search for to answer this? How deep is the sea?" }]);
  plan.say("depth of the sea");
  const lost = await model.next();
  expect(lost).toMatchObject({ path: "/search", body: { query: "depth of the sea" } });
  await crash(page);
  await lost.gone;

  page = await visit(await context.newPage(), model);
  const search = await model.next();
  expect(search).toMatchObject({ path: "/search", body: { query: "depth of the sea" }, key: lost.key });
  search.say("10,935 m");
  const half = await model.next();
  expect(half.body.messages?.[0]?.content).toBe('Answer "How deep is the sea?" from this: 10,935 m');
  half.stream("Up to ", "eleven ");
  await expect(item(page)).toHaveText("How deep is the sea? processing Cancel Retry Up to eleven ");
  await crash(page);

  page = await visit(await context.newPage(), model);
  const whole = await model.next();
  expect(whole).toMatchObject({ key: half.key, body: { ...half.body } });
  await expect(item(page).getByRole("paragraph"), "what had streamed is still there").toHaveText("Up to eleven ");
  whole.stream("Nearly ", "11 ");
  await expect(item(page).getByRole("paragraph")).toHaveText("Nearly 11 ");
  whole.stream("km.");
  whole.done();
  await expect(item(page).getByRole("paragraph")).toHaveText("Nearly 11 km.");
  await expect(item(page)).toContainText("finished");

  await page.reload();
  await expect(item(page)).toContainText("finished");
  await expect(item(page).getByRole("paragraph")).toHaveText("Nearly 11 km.");
  expect(requests(model)).toEqual({ "step 0": 1, "step 1": 2, "step 2": 2 });
  await ask(page, "And the lake?");
  expect((await model.next()).body.messages?.[0]?.content, "nothing else was requested meanwhile").toContain("And the lake?");
});

test("the code from before loses its work, and pays for it again", async ({ context, model }) => {
  const start = async (): Promise<Page> => {
    const page = await visit(await context.newPage(), model, "/before.html");
    await page.evaluate(() => (globalThis as unknown as { ask: (question: string) => void }).ask("How deep is the sea?"));
    await answerTwo(model);
    (await model.next()).stream("Up to ", "eleven ");
    await expect(page.getByRole("paragraph")).toHaveText("Up to eleven ");
    return page;
  };
  await crash(await start());
  const page = await visit(await context.newPage(), model, "/before.html");
  await expect(page.getByRole("paragraph")).toHaveText("");
  await start();
  expect(model.counts).toEqual({ "/v1/chat/completions": 4, "/search": 2 });
});

test("the answer is read from all that the protocol allows, in pieces, and an error in it is one", async ({ page, model }) => {
  await visit(page, model, "/events.html");
  const answers = await page.evaluate(async () => {
    const { read } = globalThis as unknown as { read: (body: BodyInit) => Promise<string> };
    const say = (text: string): string => JSON.stringify({ choices: [{ delta: { content: text } }] });
    const bodies: Record<string, string> = {
      "with a blank": `data: ${say("hi")}\n\ndata: [DONE]\n\n`,
      "without one": `data:${say("hi")}\n\ndata:[DONE]\n\n`,
      "other ends of lines": `:comment\r\n\r\nevent: x\rdata:${say("h")}\r\rdata:${say("i")}\r\n\r\ndata:[DONE]\r\r`,
      "a last event of usage": `data: ${say("hi")}\n\ndata: {"choices":[],"usage":{}}\n\ndata: [DONE]\n\n`,
      "an error": 'data: {"error":{"message":"overloaded"}}\n\n',
      "an end too early": `data: ${say("hi")}\n\n`,
    };
    const answers: Record<string, string> = {};
    for (const [name, text] of Object.entries(bodies)) {
      const pieces = new ReadableStream({
        start(controller) {
          for (const character of text) controller.enqueue(new TextEncoder().encode(character));
          controller.close();
        },
      });
      answers[name] = await read(pieces).catch((error: unknown) => String(error));
    }
    return answers;
  });
  expect(answers).toEqual({
    "with a blank": "hi",
    "without one": "hi",
    "other ends of lines": "hi",
    "a last event of usage": "hi",
    "an error": "Error: overloaded",
    "an end too early": "Error: the answer was cut off",
  });
});

test("a tab goes on at once where another one has crashed", async ({ context, model }) => {
  const dying = await visit(await context.newPage(), model);
  await ask(dying, "How deep is the sea?");
  await answerTwo(model);
  const lost = await model.next(); // the other one opens when it is clear who works
  const living = await visit(await context.newPage(), model);
  lost.stream("Up to ");
  for (const page of [dying, living]) await expect(item(page).getByRole("paragraph")).toHaveText("Up to ");
  await crash(dying);
  const next = await model.next();
  next.stream("Nearly 11 km.");
  next.done();
  await expect(item(living)).toContainText("finished");
  await expect(item(living).getByRole("paragraph")).toHaveText("Nearly 11 km.");
  expect(requests(model)).toEqual({ "step 0": 1, "step 1": 1, "step 2": 2 });
});

test("a question that is asked before the page is ready waits, and is not lost", async ({ page, model }) => {
  let arrive = (): void => undefined;
  const arrival = new Promise<void>((resolve) => (arrive = resolve));
  await page.route("**/*.wasm", async (route) => {
    await arrival;
    await route.continue();
  });
  await visit(page, model);
  await page.getByRole("textbox").fill("How deep is the sea?");
  await page.getByRole("textbox").press("Enter");
  const asked = page.getByRole("button", { name: "Ask" }).click();
  arrive();
  await asked;
  expect((await model.next()).body.messages?.[0]?.content).toContain("How deep is the sea?");
  expect(page.url(), "no form was sent the old way").toBe(`${model.origin}/index.html`);
});

test("Cancel aborts the request, and Retry goes on after the completed steps", async ({ page, model }) => {
  await visit(page, model);
  await ask(page, "How deep is the sea?");
  await answerTwo(model);
  const cancelled = await model.next();
  cancelled.stream("Up to ");
  await expect(button(page, "Cancel")).toBeVisible();
  await expect(button(page, "Retry")).toBeHidden();
  await button(page, "Cancel").click();
  await cancelled.gone;
  await expect(item(page)).toContainText("cancelled");
  await expect(button(page, "Cancel")).toBeHidden();
  await page.reload();
  await expect(item(page)).toContainText("cancelled");
  await button(page, "Retry").click();
  const again = await model.next();
  again.stream("Nearly 11 km.");
  again.done();
  await expect(item(page)).toContainText("finished");
  await expect(button(page, "Retry")).toBeHidden();
  expect(requests(model)).toEqual({ "step 0": 1, "step 1": 1, "step 2": 2 });
});

test("what may pass is tried again, and what is final fails the message at once", async ({ page, model }) => {
  await visit(page, model);
  await ask(page, "How deep is the sea?");
  (await model.next()).fail(503);
  (await model.next()).fail(429);
  await answerTwo(model);
  const half = await model.next();
  half.stream("Up to ");
  half.breakOff();
  (await model.next()).fail(401);
  await expect(item(page)).toContainText("failed: TerminalError: /v1/chat/completions answered 401");
  await button(page, "Retry").click();
  const answer = await model.next();
  answer.stream("Nearly 11 km.");
  answer.done();
  await expect(item(page)).toContainText("finished");
  expect(requests(model)).toEqual({ "step 0": 3, "step 1": 1, "step 2": 3 });
  expect(model.waiting).toBe(0);
});

test("its code has no type errors", ({ application }) => {
  expect(typeErrors(application, [...guide.files.keys()].filter((name) => name.endsWith(".ts")))).toBe("");
});

test("its changes lead from the code before to the code after", () => {
  const lines = (...names: string[]): Set<string> => new Set(names.flatMap((name) => guide.files.get(name)?.split("\n") ?? []));
  const [before, agent, after] = [lines("before.ts"), lines("agent.ts"), lines("agent.ts", "main.ts")];
  const changes = new Set([...guide.text.matchAll(/^```diff\n(.*?)^```$/gms)].flatMap(([, diff = ""]) => diff.trimEnd().split("\n")));
  for (const change of changes) expect(change.startsWith("-") ? before : after, change).toContain(change.slice(1));
  for (const line of before) if (!agent.has(line)) expect(changes).toContain(`-${line}`);
  for (const line of agent) if (!before.has(line)) expect(changes).toContain(`+${line}`);
});
