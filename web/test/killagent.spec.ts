// SIGKILL at random moments of a message with six steps, while two tabs are open. `make crash` runs many rounds of it.
import { setTimeout as after } from "node:timers/promises";
import type { Page } from "@playwright/test";
import { Effects, work } from "./harness/effects.js";
import { random } from "./harness/random.js";
import { mend } from "./harness/leveldb.js";
import { attach, log, type Tab } from "./harness/tab.js";
import { expect, test } from "./harness/test.js";

const kills = Number(process.env["CRASH_ROUNDS"] ?? 2);
const seed = Number(process.env["CRASH_SEED"] ?? Math.floor(Math.random() * 1_000_000));
const roundDeadline = 30_000;

/** Checks that the list says of the conversation what its log does, before `recover` would mend it. */
async function expectListed(page: Page): Promise<void> {
  const [listed, logged] = await page.evaluate(async () => {
    const { open } = await import("@holdfast-dev/holdfast");
    const holdfast = await open();
    const [row] = (await holdfast.list({ ids: ["chat"] })).rows;
    const { state } = await holdfast.recover("chat");
    const unfinished = state.messages.filter(({ status }) => status !== "finished").length;
    await holdfast.close();
    return [row?.unfinished ?? 0, unfinished];
  });
  expect(listed, "unfinished messages in the list").toBe(logged);
}

test("an agent killed at any moment pays for no completed step again", { tag: ["@launch", "@long"] }, async ({ backend, launch, profile, server }) => {
  test.setTimeout((kills + 3) * roundDeadline);
  const number = random(seed);
  const effects = new Effects();
  const sent: string[] = [];
  let torn = 0;
  for (; effects.life < kills; effects.life++) {
    const running = await launch();
    const tabs: Tab[] = [];
    while (tabs.length < 2) {
      const page = await running.newPage();
      await effects.watch(page);
      await page.goto(server.origin);
      if (tabs.length === 0) await expectListed(page);
      tabs.push(await attach(page, "chat"));
    }
    // From one entry of the effect log on, up to the rest of the message and the one behind it.
    const moment = effects.reach(1 + Math.floor(number() * 16));
    const { life } = effects;
    const keepBusy = async (): Promise<void> => {
      await Promise.all(tabs.map((tab, i) => work(tab, `life ${life} tab ${i}`)));
      for (let id = sent.at(-1) ?? "message 0"; effects.life === life; id = `message ${sent.length}`) {
        // The last one may have been sent before the kill, or not: sending it again does no harm.
        if (!sent.includes(id)) sent.push(id);
        await tabs[sent.length % 2]?.evaluate(({ conversation }, name) => conversation.send({ id: name, body: "how deep is the sea?" }), id);
        await effects.finished(id);
      }
    };
    const busy = keepBusy();
    await Promise.race([moment, busy]);
    busy.catch(() => undefined); // the tabs are about to go
    await after(number() * 15);
    await running.kill();
    if (mend(profile)) torn++;
  }

  const running = await launch();
  const page = await running.newPage();
  await effects.watch(page);
  await page.goto(server.origin);
  const tab = await attach(page, "chat");
  await tab.evaluate(async ({ conversation }, ids) => {
    for (const id of ids) await conversation.send({ id });
  }, sent);
  await work(tab, "the last");
  await expect
    .poll(() => tab.evaluate(({ conversation }) => conversation.state.messages.filter(({ status }) => status !== "finished").length), { timeout: roundDeadline })
    .toBe(0);
  const messages = await tab.evaluate(({ conversation }) => JSON.stringify(conversation.state.messages));
  for (const message of JSON.parse(messages)) effects.expectPaidOnce(message);
  const events = await log(tab);
  for (const id of sent) {
    const own = events.filter((event) => "messageId" in event && event.messageId === id && event.kind !== "processing_started");
    expect(own.map(({ kind }) => kind), id).toEqual(["message_received", ...Array.from({ length: 6 }, () => "step_completed"), "processing_finished"]);
  }
  const starts = events.filter(({ kind }) => kind === "processing_started").length;
  console.log(
    `result: killed agent: ${kills} kills of Chromium ${running.browser.version()}, ${sent.length} messages, ${starts} starts, ${effects.repeated} effects repeated, ` +
      `${torn} torn by LevelDB; ${backend}, durability strict, seed ${seed}`,
  );
  await running.close();
});
