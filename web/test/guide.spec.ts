// The guide's code, as it stands there: type-checked, bundled, and killed in the middle of its calls.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type * as Package from "@holdfast-dev/holdfast";
import type { Page } from "@playwright/test";
import { createServer } from "vite";
import { dist } from "../scripts/build-info.mjs";
import { applicationTest, crash, readDocument, resolving, typeErrors, visit } from "./harness/document.js";
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
    // The page with React, and one whose module is replaced while it stays.
    ["react.html", `<!doctype html><link rel="icon" href="data:," /><main></main><script type="module" src="./chat.tsx"></script>`],
    ["hot.html", `<!doctype html><link rel="icon" href="data:," /><script type="module" src="./hot.ts"></script>`],
    ["events.html", `<!doctype html><link rel="icon" href="data:," /><p></p><script type="module" src="./events-main.ts"></script>`],
    [
      "events-main.ts",
      `import { tokens } from "./tokens.js";
      import { earlier } from "./agent.js";
      Object.assign(window, { earlier, read: async (body: BodyInit) => { let text = ""; for await (const token of tokens(new Response(body))) text += token; return text; } });`,
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
      "a mark of the encoding": `\u{feff}data: ${say("hi")}\n\ndata: [DONE]\n\n`,
      "an event of two lines": `id: 1\ndata: {"choices":\ndata: [{"delta":{"content":"hi"}}]}\n\ndata: [DONE]\n\n`,
      "a last event of usage": `data: ${say("hi")}\n\ndata: {"choices":[],"usage":{}}\n\ndata: [DONE]\n\n`,
      "an event without choices": `data: {"usage":{}}\n\ndata: ${say("hi")}\n\ndata: [DONE]\n\n`,
      "an error": 'event: error\ndata: {"error":{"message":"overloaded"}}\n\n',
      "an error that is a text": 'data: {"error":"overloaded"}\n\n',
      "an event that was cut off": `data: ${say("hi")}\n\ndata: [DONE]`,
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
    "a mark of the encoding": "hi",
    "an event of two lines": "hi",
    "a last event of usage": "hi",
    "an event without choices": "hi",
    "an error": "Error: overloaded",
    "an error that is a text": 'Error: "overloaded"',
    "an event that was cut off": "Error: the answer was cut off",
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

test("a question is asked once, however often and from wherever it is sent, and what is typed next stays", async ({ page, model }) => {
  await visit(page, model);
  await expect(page.getByRole("button", { name: "Ask" })).toBeEnabled();
  await page.getByRole("textbox").fill("How deep is the sea?");
  await page.evaluate(() => {
    const form = document.querySelector("form") as HTMLFormElement & { readonly question: HTMLInputElement };
    for (let i = 0; i < 3; i++) form.requestSubmit();
    form.question.value = "And the lake?";
  });
  await answerTwo(model);
  await expect(item(page)).toHaveText(/^How deep is the sea\?/);
  await expect(page.getByRole("textbox")).toHaveValue("And the lake?");
  await page.getByRole("button", { name: "Ask" }).dblclick();
  await expect(item(page)).toHaveCount(2);
  await expect(page.getByRole("textbox")).toHaveValue("");
  expect(await page.evaluate(() => document.querySelectorAll("li").length)).toBe(2);
});

test("the page with React asks once, shows the answer as it streams, and goes on after a crash", async ({ context, model }) => {
  let page = await visit(await context.newPage(), model, "/react.html");
  await page.getByRole("textbox").fill("How deep is the sea?");
  await page.evaluate(() => {
    for (let i = 0; i < 2; i++) document.querySelector("form")?.requestSubmit();
  });
  await answerTwo(model);
  (await model.next()).stream("Up to ");
  await expect(item(page)).toHaveText("How deep is the sea? processing Up to ");
  await expect(page.getByRole("textbox")).toHaveValue("");
  await crash(page);
  page = await visit(await context.newPage(), model, "/react.html");
  const answer = await model.next();
  answer.stream("Nearly 11 km.");
  answer.done();
  await expect(item(page)).toHaveText("How deep is the sea? finished Nearly 11 km.");
  expect(requests(model)).toEqual({ "step 0": 1, "step 1": 1, "step 2": 2 });
});

test("where a module is replaced while the page stays, the new code answers, and the old store is closed", async ({ page, application }) => {
  const agent = join(application, "agent.ts");
  const says = (word: string): void => writeFileSync(agent, `export const agent = () => ${JSON.stringify(word)};\n`);
  const before = readFileSync(agent, "utf8");
  const dev = await createServer({ configFile: false, root: application, logLevel: "warn", optimizeDeps: { noDiscovery: true }, server: { port: 0, host: "127.0.0.1", fs: { strict: false } }, ...resolving });
  try {
    says("one");
    await dev.listen();
    await page.goto(`${dev.resolvedUrls?.local[0]}hot.html`);
    const chat = await page.evaluateHandle(async (url) => {
      const { open } = (await import(url)) as typeof Package;
      return (await open()).recover("support");
    }, `/@fs${join(dist, "index.js")}`);
    const ask = async (id: string): Promise<unknown> => chat.evaluate(async (chat, id) => (await chat.ended(await chat.send({ id }))).result, id);
    expect(await ask("first")).toBe("one");
    await page.evaluate(() => Object.assign(window, { stays: true }));
    says("two");
    await expect.poll(async () => ask(crypto.randomUUID()), "the new code answers").toBe("two");
    expect(await page.evaluate(() => "stays" in window)).toBe(true);
  } finally {
    await dev.close();
    writeFileSync(agent, before);
  }
});

test("earlier questions and answers are told to the model in their order", async ({ page, model }) => {
  await visit(page, model, "/events.html");
  const turns = await page.evaluate(() => {
    const { earlier } = globalThis as unknown as { earlier: (history: unknown) => unknown };
    const messages = ["finished", "failed", "finished"].map((status, i) => ({ id: `${i}`, body: `question ${i}`, status, result: `answer ${i}` }));
    return [earlier(messages), earlier([])];
  });
  const turn = (i: number): unknown[] => [
    { role: "user", content: `question ${i}` },
    { role: "assistant", content: `answer ${i}` },
  ];
  expect(turns).toEqual([[...turn(0), ...turn(2)], []]);
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
  expect(typeErrors(application, [...guide.files.keys()].filter((name) => /\.tsx?$/.test(name)))).toBe("");
});

test("its changes lead from the code before to the code after", () => {
  const lines = (...names: string[]): Set<string> => new Set(names.flatMap((name) => guide.files.get(name)?.split("\n") ?? []));
  const [before, agent, after] = [lines("before.ts"), lines("agent.ts"), lines("agent.ts", "main.ts")];
  const changes = new Set([...guide.text.matchAll(/^```diff\n(.*?)^```$/gms)].flatMap(([, diff = ""]) => diff.trimEnd().split("\n")));
  for (const change of changes) expect(change.startsWith("-") ? before : after, change).toContain(change.slice(1));
  for (const line of before) if (!agent.has(line)) expect(changes).toContain(`-${line}`);
  for (const line of agent) if (!before.has(line)) expect(changes).toContain(`+${line}`);
});
