// Long conversations: what happens to them by itself, while nobody looks.
import { expect, test } from "./harness/holdfast.js";

test("the records of a long conversation are merged, and it is the same for every tab", async ({ home, holdfast }) => {
  const append = (count: number): Promise<number> =>
    holdfast.evaluate(async (holdfast, count) => {
      const c = await holdfast.recover("c");
      for (let i = 0; i < count; i++) await c.recordStepCompleted("m", i, { i });
      return c.expectedSeq;
    }, count);
  const records = (): Promise<number> => home.evaluate(async () => told.idb((await told.objectStore("holdfast", "records")).count()));
  expect(await append(70)).toBe(70);
  await expect.poll(records).toBeLessThan(5);
  const events = await holdfast.evaluate(async (holdfast) => (await holdfast.create("c").events()).map(({ sequence }) => sequence));
  expect(events).toEqual(Array.from({ length: 70 }, (_, i) => i));
  expect(await append(3), "whoever appends finds the head where it was").toBe(73);
});

test("a long conversation is recovered from a snapshot, as its whole log would have it", async ({ home, holdfast }) => {
  const appended = await holdfast.evaluate(async (holdfast) => {
    const c = holdfast.create("c");
    const all: Promise<unknown>[] = [];
    for (let i = 0; i < 150; i++) {
      const id = `message ${i}`;
      all.push(
        c.recordMessageReceived({ id, receivedAt: i, body: { text: "é".repeat(i) } }),
        c.recordProcessingStarted(id),
        c.recordStepCompleted(id, 0, { i }),
        i % 3 ? c.recordProcessingFinished(id) : c.recordError(id, `error ${i}`),
      );
      if (i === 100) await Promise.all(all); // what is not awaited goes as one record
    }
    await Promise.all(all);
    return told.messages(c.state);
  });
  expect(appended.length).toBe(150);
  const snapshots = (): Promise<number> => home.evaluate(async () => told.idb((await told.objectStore("holdfast", "snapshots")).count()));
  await expect.poll(snapshots).toBe(1);

  const recover = () => holdfast.evaluate(async (holdfast) => told.messages((await holdfast.recover("c")).state));
  expect(await recover()).toEqual(appended);
  // Without the records that it stands for, only the snapshot can have told.
  await home.evaluate(async () => {
    const records = await told.objectStore("holdfast", "records");
    const keys = await told.idb(records.getAllKeys());
    for (const key of keys.slice(0, -1)) records.delete(key);
    await told.idb(records.count());
  });
  expect(await recover()).toEqual(appended);
  expect(await holdfast.evaluate(async (holdfast) => (await told.failure(holdfast.create("c").events()))?.code)).toBe("gap");

  // Deleting the conversation deletes its snapshot too.
  expect(await snapshots()).toBe(1);
  await holdfast.evaluate((holdfast) => holdfast.delete("c"));
  expect(await recover()).toEqual([]);
  expect(await snapshots()).toBe(0);
});
