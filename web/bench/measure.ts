// Runs in the page. Each contestant does the same job: check that the head is the expected one, append one event,
// acknowledge after the commit; and, to recover, read the log back and decode it into a state.
import type { Holdfast } from "@holdfast-dev/holdfast";

export interface Row {
  readonly workload: string;
  /** Milliseconds, one for each round. */
  readonly holdfast: readonly number[];
  readonly floor: readonly number[];
}

export interface Plan {
  readonly durability: "strict" | "default";
  /** Rounds, which alternate between the contestants, and appends in each. */
  readonly rounds: number;
  readonly appends: number;
  /** Lengths of the logs to recover. */
  readonly logs: readonly number[];
}

export async function measure(plan: Plan): Promise<Row[]> {
  const { open } = await import("@holdfast-dev/holdfast");
  const { decode, encode } = await import("@msgpack/msgpack");

  // By hand: one row for each event, under [stream, sequence behind it].
  const database = await new Promise<IDBDatabase>((resolve, reject) => {
    const request = indexedDB.open("floor", 1);
    request.onupgradeneeded = () => request.result.createObjectStore("events");
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error ?? new Error("no database"));
  });
  const append = (stream: string, expected: number, event: unknown): Promise<void> =>
    new Promise((resolve, reject) => {
      const bytes = encode(event);
      const transaction = database.transaction("events", "readwrite", { durability: plan.durability });
      const events = transaction.objectStore("events");
      const head = events.getAllKeys(IDBKeyRange.bound([stream, expected], [stream, Infinity]), 2);
      events.add(bytes, [stream, expected + 1]);
      head.onsuccess = () => {
        const keys = head.result as [string, number][];
        if (expected === 0 ? keys.length === 0 : keys.length === 1 && keys[0]?.[1] === expected) transaction.commit();
        else transaction.abort();
      };
      transaction.oncomplete = () => resolve();
      transaction.onabort = () => reject(transaction.error ?? new Error("conflict"));
    });
  const recover = (stream: string): Promise<Map<string, unknown[]>> =>
    new Promise((resolve, reject) => {
      const request = database.transaction("events").objectStore("events").getAll(IDBKeyRange.bound([stream, 0], [stream, Infinity]));
      request.onerror = () => reject(request.error ?? new Error("no log"));
      request.onsuccess = () => {
        const state = new Map<string, unknown[]>();
        for (const bytes of request.result as Uint8Array[]) {
          const event = decode(bytes) as unknown[];
          const message = event[2] as string;
          const known = state.get(message);
          if (known === undefined) state.set(message, [event]);
          else known.push(event);
        }
        resolve(state);
      };
    });

  const output = "x".repeat(80);
  /** The i-th event of an agent's log: messages of eight events each. */
  const byHand = (i: number): unknown[] => {
    const id = crypto.getRandomValues(new Uint8Array(16));
    return [3, id, `message-${i >> 3}`, i & 7, encode(output)];
  };
  const record = (conversation: ReturnType<Holdfast["create"]>, i: number): Promise<number> =>
    conversation.recordStepCompleted(`message-${i >> 3}`, i & 7, output);
  const timed = async (work: () => Promise<unknown>): Promise<number> => {
    const start = performance.now();
    await work();
    return performance.now() - start;
  };

  const holdfast = await open({ database: "bench", durability: plan.durability });
  const rows: Row[] = [];

  const conversation = holdfast.create("append");
  const ours: number[] = [];
  const floor: number[] = [];
  let next = 0;
  for (let round = -1; round < plan.rounds; round++) {
    const from = next;
    next += plan.appends;
    const mine = await timed(async () => {
      for (let i = from; i < next; i++) await record(conversation, i);
    });
    const theirs = await timed(async () => {
      for (let i = from; i < next; i++) await append("append", i, byHand(i));
    });
    if (round < 0) continue; // both warm up
    ours.push(mine / plan.appends);
    floor.push(theirs / plan.appends);
  }
  rows.push({ workload: `append one by one, ${plan.durability}`, holdfast: ours, floor });

  for (const length of plan.logs) {
    const log = holdfast.create(`log-${length}`);
    for (let i = 0; i < length; i++) {
      await record(log, i);
      await append(log.id, i, byHand(i));
    }
    const row = { workload: `recover ${length.toLocaleString("en-US")} events, written one by one`, holdfast: [] as number[], floor: [] as number[] };
    for (let round = -1; round < plan.rounds; round++) {
      const mine = await timed(() => holdfast.recover(log.id));
      const theirs = await timed(() => recover(log.id));
      if (round < 0) continue;
      row.holdfast.push(mine);
      row.floor.push(theirs);
    }
    rows.push(row);
  }
  await holdfast.close();
  database.close();
  return rows;
}
