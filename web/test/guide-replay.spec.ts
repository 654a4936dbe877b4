// The code of docs/replay.md, as it stands there: each right handler goes on as it should when its page is killed, and each wrong one
// does what the text says of it.
import type { BrowserContext, Page } from "@playwright/test";
import type { Conversation, Message, ProcessOptions } from "@holdfast-dev/holdfast";
import { applicationTest, crash, readDocument, typeErrors, visit } from "./harness/document.js";
import type { Call, Model } from "./harness/model.js";
import { expect } from "./harness/test.js";

/** What the page offers. */
interface Offer {
  readonly again: (chat: Conversation, id: string, name?: string) => Promise<boolean>;
  readonly chat: Conversation;
  /** What `onError` was called with. */
  readonly errors: readonly string[];
  /** Processes the message, which it sends if that is not there yet. */
  work(handler: string, options: ProcessOptions, body: unknown): Promise<string>;
}

declare global {
  var offer: Offer;
}

const replay = readDocument("replay.md");

const world = `
  import { tokens } from "./tokens.js";
  async function post(path: string, query: string, key?: string): Promise<Response> {
    const response = await fetch(path, { method: "POST", body: JSON.stringify({ query }), headers: key === undefined ? {} : { "idempotency-key": key } });
    if (!response.ok) throw new Error(path + " answered " + response.status);
    return response;
  }
  const text = async (query: string, key?: string): Promise<string> => (await post("/search", query, key)).text();
  export const ask = (question: string): Promise<string> => text(question);
  export const read = (url: string): Promise<string> => text("read " + url);
  export const digest = (page: string): Promise<string> => text("digest " + page);
  export const pay = (amount: string, key: string): Promise<string> => text("pay " + amount, key);
  export async function* streamFrom(question: string, offset: number): AsyncGenerator<string> {
    yield* tokens(await post("/v1/chat/completions", question + " from " + offset));
  }`;

const handlers = [
  `import { StepError, type Work } from "@holdfast-dev/holdfast";
  import { ask, digest, pay, read, streamFrom } from "./world.js";`,
  ...[...replay.handlers].map(([name, body]) => `export async function ${name}({ message, step }: Work): Promise<unknown> {\n${body}}`),
];

const main = `
  import { open, type Storable } from "@holdfast-dev/holdfast";
  import { again } from "./again.js";
  import * as handlers from "./handlers.js";
  import { showQuestions } from "./questions.js";
  const chat = await (await open()).recover("story");
  showQuestions(chat, document.querySelector("main")!);
  const errors: string[] = [];
  const work = (handler: keyof typeof handlers, options: object, body: Storable): Promise<string> => {
    chat.process(handlers[handler], { onError: (error) => errors.push(String(error)), ...options });
    return chat.send({ id: "m", body });
  };
  Object.assign(globalThis, { offer: { again, chat, errors, work } });`;

const files = new Map([
  ...replay.files,
  ["tokens.ts", readDocument("make-your-agent-survive.md").files.get("tokens.ts") ?? ""],
  ["world.ts", world],
  ["handlers.ts", handlers.join("\n")],
  ["main.ts", main],
  ["index.html", `<!doctype html><link rel="icon" href="data:," /><main></main><script type="module" src="./main.ts"></script>`],
]);

/** A page that works on the message with a handler, and what it asks for. */
class Story {
  readonly #context: BrowserContext;
  readonly #model: Model;
  readonly #arrived = new Map<string, Call>();
  /** How often each request was made. */
  readonly counts: Record<string, number> = {};
  page!: Page;

  constructor(context: BrowserContext, model: Model) {
    this.#context = context;
    this.#model = model;
  }

  /** Opens a page, in which chance falls as told. */
  async open(handler: string, options: { readonly chance?: readonly number[]; readonly body?: () => unknown; readonly maxAttempts?: number; readonly rehearse?: boolean } = {}): Promise<void> {
    const { body, chance = [0], ...rest } = options;
    this.page = await this.#context.newPage();
    await this.page.addInitScript((values) => {
      Math.random = () => Number(values.length > 1 ? values.shift() : values[0]);
    }, [...chance]);
    await visit(this.page, this.#model);
    await this.page.waitForFunction(() => "offer" in globalThis);
    await this.page.evaluate(([handler, options, body]) => offer.work(handler, options, body), [handler, { backoff: { initial: 1 }, ...rest }, body?.()] as const);
  }

  /** Kills the page. */
  async crash(): Promise<void> {
    await crash(this.page);
  }

  /** The request for something, which it waits for. */
  async asked(query: string): Promise<Call> {
    for (;;) {
      const call = this.#arrived.get(query);
      if (call !== undefined) {
        this.#arrived.delete(query);
        return call;
      }
      const next = await this.#model.next();
      const { query: asked = "" } = next.body;
      this.counts[asked] = (this.counts[asked] ?? 0) + 1;
      this.#arrived.set(asked, next);
    }
  }

  async answer(query: string, text: string): Promise<void> {
    (await this.asked(query)).say(text);
  }

  async message(): Promise<Message> {
    return JSON.parse(await this.page.evaluate(() => JSON.stringify(offer.chat.state.message("m")))) as Message;
  }

  async become(status: Message["status"]): Promise<Message> {
    await expect.poll(async () => (await this.message()).status).toBe(status);
    return this.message();
  }

  /** Waits until so many steps have ended. */
  async ended(steps: number): Promise<void> {
    await expect.poll(async () => (await this.message()).steps.length).toBe(steps);
  }

  /** Waits until `onError` was called with what contains a text. */
  async error(text: string): Promise<void> {
    await expect.poll(() => this.page.evaluate(() => offer.errors.join("\n"))).toContain(text);
  }
}

const test = applicationTest(files).extend<{ story: Story }>({
  story: async ({ context, model }, use) => {
    const story = new Story(context, model);
    await use(story);
    expect(model.waiting, "nothing else was requested").toBe(0);
  },
});

test("the picture of the log is that of a run", async ({ story }) => {
  await story.open("picture");
  await story.answer("a plan", "the plan");
  (await story.asked("the plan")).fail(500);
  await story.answer("the plan", "the facts");
  await story.asked("the facts");
  await story.crash();
  await story.open("picture");
  await story.answer("the facts", "the answer");
  expect(await story.become("finished")).toMatchObject({ result: "the answer" });
  expect(story.counts).toEqual({ "a plan": 1, "the plan": 2, "the facts": 2 });
  const picture = [...replay.text.matchAll(/^(\d+) (\w+)(?: +step (\d+), "(\w+)")?/gm)].map(([, sequence, kind, step, name]) => [sequence, kind, step, name].filter(Boolean).join(" "));
  const log = await story.page.evaluate(async () =>
    (await offer.chat.events()).map((event) => [event.sequence, event.kind, ...("name" in event ? [event.step, event.name] : [])].join(" ")),
  );
  expect(log).toEqual(picture);
});

test("scopes: sub-agents in parallel count their own calls", async ({ story }) => {
  await story.open("agents");
  await story.answer("south?", "south 1");
  await story.answer("south 1?", "south 2");
  // Both answers are on their way at the same time: the crash must not come between them.
  await expect.poll(async () => (await story.message()).steps.length).toBe(2);
  await story.answer("north?", "north 1");
  await story.asked("north 1?");
  await story.crash();
  await story.open("agents");
  await story.answer("north 1?", "north 2");
  expect(await story.become("finished")).toMatchObject({ result: ["north 2", "south 2"] });
});

for (const [handler, right] of [
  ["chains_right", true],
  ["chains_wrong", false],
] as const) {
  test(`${handler}: the second page's digest is ready first, and after a crash the first one's`, async ({ story }) => {
    await story.open(handler);
    await story.answer("read a", "A");
    await story.answer("read b", "B");
    await story.answer("digest B", "2");
    const summary = await story.asked("summary of B, 2");
    await story.answer("digest A", "1");
    await story.asked("summary of A, 1");
    if (!right) await story.error("give them keys");
    summary.say("about B");
    await story.ended(3);
    await story.crash();

    await story.open(handler);
    await story.answer("digest A", "1");
    if (right) await story.answer("summary of A, 1", "about A");
    else await story.ended(3);
    await story.answer("digest B", "2");
    if (!right) await story.answer("summary of B, 2", "about B, again");
    expect(await story.become("finished")).toMatchObject({ result: right ? ["about A", "about B"] : ["about B", "about B, again"] });
  });
}

for (const [handler, result] of [
  ["varies_right", "the second answer"],
  ["varies_wrong", "the first answer"],
] as const) {
  test(`${handler}: the coin falls otherwise after a crash`, async ({ story }) => {
    await story.open(handler, { chance: [0.1] });
    await story.answer("the first question", "the first answer");
    await story.asked("the second question");
    await story.crash();
    await story.open(handler, { chance: [0.9] });
    if (handler === "varies_right") await story.answer("the second question", "the second answer");
    expect(await story.become("finished")).toMatchObject({ result });
  });
}

for (const [handler, plans] of [
  ["foreign_right", 1],
  ["foreign_wrong", 2],
] as const) {
  test(`${handler}: the plan is requested ${plans === 1 ? "once" : "again after a crash"}`, async ({ story }) => {
    await story.open(handler);
    await story.answer("a plan", "the plan");
    await story.asked("the plan");
    await story.crash();
    await story.open(handler);
    if (plans === 2) await story.answer("a plan", "the plan");
    await story.answer("the plan", "the answer");
    expect(await story.become("finished")).toMatchObject({ result: "the answer" });
    expect(story.counts).toEqual({ "a plan": plans, "the plan": 2 });
  });
}

test("nested_wrong is refused, nested_right goes on with the step within", async ({ story }) => {
  await story.open("nested_wrong");
  expect((await story.become("failed")).error).toContain("invalid_argument: facts is called within the function of another step");
  await story.page.close();

  await story.open("nested_right");
  await story.page.evaluate(() => offer.chat.retry("m"));
  await story.answer("facts", "the facts");
  await story.asked("the facts");
  await story.crash();
  await story.open("nested_right");
  await story.answer("the facts", "the report");
  expect(await story.become("finished")).toMatchObject({ result: "the report" });
  expect(story.counts).toEqual({ facts: 1, "the facts": 2 });
});

test("unawaited_wrong fails with a step that nobody awaited, unawaited_right does not", async ({ story }) => {
  await story.open("unawaited_wrong");
  (await story.asked("to note this")).fail(500);
  expect((await story.become("failed")).error).toContain("did not await it");
  await story.page.close();

  await story.open("unawaited_right");
  await story.page.evaluate(() => offer.chat.retry("m"));
  (await story.asked("to note this")).fail(500);
  expect(await story.become("finished")).toMatchObject({ result: { noted: "no" } });
});

test("a rehearsal finds what varies", async ({ story }) => {
  await story.open("varies_wrong", { rehearse: true, chance: [0.1, 0.9] });
  await story.answer("the first question", "the first answer");
  await story.answer("the second question", "the second answer");
  await story.error("the handler went another way");
  await story.become("finished");
});

test("a caught failure and its fallback are the same after a crash", async ({ story }) => {
  await story.open("fallback");
  (await story.asked("the large model")).fail(503);
  await story.answer("the small model", "a small draft");
  await story.asked("to polish a small draft");
  await story.crash();
  await story.open("fallback");
  await story.answer("to polish a small draft", "polished");
  expect(await story.become("finished")).toMatchObject({ result: "polished" });
  expect(story.counts).toEqual({ "the large model": 1, "the small model": 1, "to polish a small draft": 2 });
});

test("again: what has failed, or all from a step on", async ({ story }) => {
  await story.open("picture", { maxAttempts: 1 });
  await story.answer("a plan", "the plan");
  await story.answer("the plan", "the facts");
  (await story.asked("the facts")).fail(500);
  await story.become("failed");
  await story.page.evaluate(() => offer.again(offer.chat, "m"));
  (await story.asked("the facts")).fail(500);
  await story.become("failed");
  expect(story.counts).toEqual({ "a plan": 1, "the plan": 1, "the facts": 2 });
  await story.page.evaluate(() => offer.again(offer.chat, "m", "search"));
  await story.answer("the plan", "more facts");
  await story.answer("more facts", "the answer");
  expect(await story.become("finished")).toMatchObject({ result: "the answer" });
  expect(story.counts).toEqual({ "a plan": 1, "the plan": 2, "the facts": 2, "more facts": 1 });
});

test("before and after: a handler is changed under a message", async ({ story }) => {
  await story.open("before");
  await story.answer("a plan", "the plan");
  await story.answer("read a", "A");
  await story.answer("read b", "B");
  await story.asked("the plan,A,B");
  await story.crash();
  await story.open("after");
  await story.answer("the tone", "kind");
  await story.answer("read c", "C");
  await story.answer("the plan,C,B,A,kind", "the reply");
  expect(await story.become("finished")).toMatchObject({ result: "the reply" });
});

test("a payment that may have been made waits for a decision, and then has the same key", async ({ story }) => {
  await story.open("payment");
  const { key } = await story.asked("pay 10 EUR");
  expect(key).toMatch(/^[0-9a-f]{32}$/);
  await story.crash();
  await story.open("payment");
  expect(await story.become("waiting")).toMatchObject({ openSteps: [{ name: "pay", uncertain: true }] });
  await story.page.evaluate(() => offer.chat.resolveStep("m", 0, "rerun"));
  const second = await story.asked("pay 10 EUR");
  expect(second.key).toBe(key);
  second.say("paid");
  expect(await story.become("finished")).toMatchObject({ result: "paid" });
});

test("a person answers in another tab, after a crash of the first one", async ({ context, model, story }) => {
  await story.open("permission");
  await expect(story.page.getByText("Read 2 files?")).toBeVisible();
  await story.become("waiting");
  await story.crash();
  await story.open("permission");
  const other = await visit(await context.newPage(), model);
  await other.getByRole("button", { name: "Yes" }).click();
  await story.answer("read a", "A");
  await story.answer("read b", "B");
  expect(await story.become("finished")).toMatchObject({ result: ["A", "B"] });
  await expect(other.getByRole("button")).toHaveCount(0);
  expect(await story.page.evaluate(() => offer.chat.answer("m", 0, false)), "the first answer counts").toBe(false);
});

test("a time comes after a crash", async ({ story }) => {
  let at = new Date();
  await story.open("reminder", { body: () => ({ at: (at = new Date(Date.now() + 5_000)), text: "tea" }) });
  expect(await story.become("waiting")).toMatchObject({ due: at.getTime() });
  await story.crash();
  await story.open("reminder");
  await story.answer("reminder: tea", "reminded");
  expect(Date.now()).toBeGreaterThanOrEqual(at.getTime());
  expect(await story.become("finished")).toMatchObject({ result: "reminded" });
});

test("a stream goes on after what is stored of it", async ({ story }) => {
  await story.open("resumed");
  (await story.asked("an answer from 0")).stream("one ", "two ");
  await expect.poll(async () => (await story.message()).openSteps[0]?.chunks.join("")).toBe("one two ");
  await story.crash();
  await story.open("resumed");
  const rest = await story.asked("an answer from 8");
  rest.stream("three");
  rest.done();
  expect(await story.become("finished")).toMatchObject({ result: "one two three" });
});

test("its code has no type errors", ({ application }) => {
  expect(typeErrors(application, [...files.keys()].filter((name) => name.endsWith(".ts")))).toBe("");
});
