// A defect of Chromium's LevelDB backend: see ../harness/leveldb.ts.
import { appendFileSync } from "node:fs";
import { logOf } from "../harness/leveldb.js";
import { remembered } from "../harness/memory.js";
import { append, attach, expectedSeq } from "../harness/tab.js";
import { expect, test } from "../harness/test.js";

test("a store that Chromium deletes because a kill has torn a record is not taken for an empty one", { tag: "@launch" }, async ({ launch, profile, server }) => {
  const visit = async (events: number): Promise<void> => {
    const running = await launch();
    const page = await running.newPage();
    await page.goto(server.origin);
    const tab = await attach(page, "chat");
    expect(await expectedSeq(tab)).toBe(events);
    expect(await append(tab, "a", events)).toEqual({ sequence: events });
    await expect.poll(() => remembered(page)).toEqual({ chat: events + 1 });
    await running.kill();
  };
  await visit(0);
  // The header of a record, whose 75 (hex 4b) bytes a kill has kept from following.
  appendFileSync(logOf(profile) ?? "", Buffer.from("123456784b0001", "hex"));
  await visit(1);

  const page = await (await launch()).newPage();
  await page.goto(server.origin);
  await expect(attach(page, "chat")).rejects.toThrow("store_reset");
  const tab = await attach(page, "chat");
  expect(await expectedSeq(tab), "who opens again has been told").toBe(0);
});
