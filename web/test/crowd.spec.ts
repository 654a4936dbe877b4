// Four tabs that come and go, at one conversation that all of them process.
import type { Page } from "@playwright/test";
import { random } from "./harness/random.js";
import { attach, log, type Tab } from "./harness/tab.js";
import { expect, test } from "./harness/test.js";

const messages = 40;
const seed = Number(process.env["CROWD_SEED"] ?? Math.floor(Math.random() * 1_000_000));

interface Member {
  readonly page: Page;
  readonly tab: Tab;
}

test("40 messages from tabs that are closed and opened: each processed in order, and finished once", { tag: "@slow" }, async ({ context, server }, info) => {
  test.setTimeout(120_000);
  info.annotations.push({ type: "seed", description: String(seed) });
  const number = random(seed);
  const any = (members: readonly Member[]): Member => {
    const member = members[Math.floor(number() * members.length)];
    if (member === undefined) throw new Error("nobody is there");
    return member;
  };
  const effects: string[] = [];
  const join = async (): Promise<Member> => {
    const page = await context.newPage();
    await page.exposeFunction("effect", (step: string) => void effects.push(step));
    await page.goto(server.origin);
    const tab = await attach(page, "chat");
    await tab.evaluate(({ conversation }) => {
      conversation.process(async ({ message, step }) => {
        const effect = (name: string): Promise<void> => (globalThis as unknown as { effect: (step: string) => Promise<void> }).effect(name);
        const first = await step("first", async () => {
          await effect(`${message.id} first`);
          return `${message.id} first`;
        });
        return await step("second", async () => {
          await effect(`${message.id} second`);
          return `${first}, second`;
        });
      });
    });
    return { page, tab };
  };
  const crowd = await Promise.all(Array.from({ length: 4 }, join));
  let left = 0;
  for (let i = 0; i < messages; i++) {
    await any(crowd).tab.evaluate(({ conversation }, id) => conversation.send({ id, body: "…" }), `message ${i}`);
    if (i % 3 !== 0) continue;
    // One tab goes, in the middle of whatever it does, and another one comes.
    const gone = any(crowd);
    await gone.page.close();
    crowd[crowd.indexOf(gone)] = await join();
    left++;
  }
  const { tab } = any(crowd);
  await tab.evaluate(({ conversation }) => void conversation.subscribe(() => undefined)); // follows the others
  await expect.poll(() => tab.evaluate(({ conversation }) => conversation.state.messages.filter(({ status }) => status === "finished").length), { timeout: 60_000 }).toBe(messages);

  const events = await log(tab);
  const of = (kind: string): string[] => events.flatMap((event) => (event.kind === kind && "messageId" in event ? [event.messageId] : []));
  const ids = Array.from({ length: messages }, (_, i) => `message ${i}`);
  expect(of("message_received")).toEqual(ids);
  expect(of("processing_finished"), "finished once, in order").toEqual(ids);
  expect(of("step_completed"), "each step completed once, in order").toEqual(ids.flatMap((id) => [id, id]));
  expect([...new Set(of("processing_started"))], "first started in order").toEqual(ids);
  expect(of("error_occurred")).toEqual([]);
  expect([...new Set(effects)], "effects in order").toEqual(ids.flatMap((id) => [`${id} first`, `${id} second`]));
  expect(effects.length, "a tab that goes repeats one effect at most").toBeLessThanOrEqual(2 * messages + left);
  const results = await tab.evaluate(({ conversation }) => conversation.state.messages.map(({ result }) => result));
  expect(results).toEqual(ids.map((id) => `${id} first, second`));
  console.log(`crowd: ${left} tabs left, ${effects.length - 2 * messages} effects repeated, ${of("processing_started").length} starts; seed ${seed}`);
});
