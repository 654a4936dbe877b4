// The guide's steps with SDKs, as they stand there: type-checked, and run with a model that answers over HTTP.
import type { Conversation } from "@holdfast-dev/holdfast";
import type { JSHandle, Page } from "@playwright/test";
import { applicationTest, crash, readDocument, typeErrors, visit } from "../harness/document.js";
import { expect } from "../harness/test.js";

const { recipes } = readDocument("make-your-agent-survive.md");

/** What comes before each recipe. */
const heads: Readonly<Record<string, string>> = {
  ai: `
    import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
    import { streamText } from "ai";
    const model = createOpenAICompatible({ name: "test", baseURL: location.origin + "/v1" })("your-model");`,
  openai: `
    import { OpenAI } from "openai";
    const openai = new OpenAI({ baseURL: location.origin + "/v1", apiKey: "none", dangerouslyAllowBrowser: true });`,
};

const agent = (name: string): string => `
  import { open, type Work } from "@holdfast-dev/holdfast";
  ${heads[name]}
  async function agent({ message, step }: Work): Promise<string> {
    ${recipes.get(name)}
    return answer;
  }
  async function start() {
    const chat = await (await open()).recover("support");
    chat.process(agent);
    Object.assign(window, { chat });
  }
  void start();`;

const test = applicationTest(
  new Map(
    Object.keys(heads).flatMap((name) => [
      [`${name}.ts`, agent(name)],
      [`${name}.html`, `<!doctype html><link rel="icon" href="data:," /><script type="module" src="./${name}.ts"></script>`],
    ] as const),
  ),
);

const chatOf = async (page: Page): Promise<JSHandle<Conversation>> =>
  (await page.waitForFunction(() => (globalThis as unknown as { readonly chat?: Conversation }).chat)) as JSHandle<Conversation>;

test("all of them are run here", () => {
  expect([...recipes.keys()]).toEqual(Object.keys(heads));
});

test("their code has no type errors", { tag: "@slow" }, ({ application }) => {
  expect(typeErrors(application, Object.keys(heads).map((name) => `${name}.ts`))).toBe("");
});

for (const name of Object.keys(heads)) {
  test(`with ${name} an answer streams, survives its page, and each attempt is one request`, { tag: "@slow" }, async ({ context, model }) => {
    let page = await visit(await context.newPage(), model, `/${name}.html`);
    let chat = await chatOf(page);
    const failed = (): Promise<string | undefined> => chat.evaluate((chat) => chat.state.message("m")?.openSteps.map(({ attempts, error }) => `${attempts} ${error?.message}`).join());
    await chat.evaluate((chat) => chat.send({ id: "m", body: "How deep is the sea?" }));

    (await model.next()).fail(503);
    await expect.poll(failed).toMatch(/^1 ./);
    const lost = await model.next();
    expect(lost.body).toMatchObject({ model: "your-model", stream: true });
    expect(lost.body.messages).toEqual([{ role: "user", content: "How deep is the sea?" }]);
    expect(lost.key).toMatch(/^[0-9a-f]{32}$/);
    lost.stream("Up to ", "eleven ");
    await expect.poll(() => chat.evaluate((chat) => chat.state.message("m")?.output("answer"))).toBe("Up to eleven ");
    await crash(page);

    page = await visit(await context.newPage(), model, `/${name}.html`);
    chat = await chatOf(page);
    const wrong = await model.next();
    expect(wrong.key).toBe(lost.key);
    wrong.stream("Nearly ");
    wrong.end(undefined, 'data: {"error":{"message":"overloaded"}}\n\n');
    await expect.poll(failed).toMatch(/^2 .*overloaded/);
    const half = await model.next();
    half.stream("Nearly ");
    half.breakOff();
    await expect.poll(failed).toMatch(/^3 .*(cut off|ended without)/);
    const whole = await model.next();
    whole.stream("Nearly ", "11 km.");
    whole.done("stop");
    const ended = await chat.evaluate(async (chat) => {
      const { status, result } = await chat.ended("m");
      return { status, result };
    });
    expect(ended).toEqual({ status: "finished", result: "Nearly 11 km." });
    expect(model.counts, "the SDK has repeated nothing").toEqual({ [lost.key ?? ""]: 5 });
  });

  test(`with ${name} a cancelled message ends its request`, { tag: "@slow" }, async ({ model, page }) => {
    await visit(page, model, `/${name}.html`);
    const chat = await chatOf(page);
    await chat.evaluate((chat) => chat.send({ id: "m", body: "How deep is the sea?" }));
    const call = await model.next();
    call.stream("Up to ");
    await chat.evaluate((chat) => chat.cancel("m"));
    await call.gone;
  });
}
