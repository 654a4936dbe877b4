// What several workloads do with a log.
import type { Contestant, Proceed } from "../page/contest.js";
import { eventAt, type Log } from "../peers/peer.js";

const batchSize = 1000;

/** Writes a log of `length` events. */
export async function fill(log: Log, stream: string, length: number, written: Contestant["written"], proceed: Proceed): Promise<void> {
  for (let from = 0; from < length; from += batchSize) {
    const to = Math.min(from + batchSize, length);
    const events = Array.from({ length: to - from }, (_, i) => eventAt(from + i));
    if (written === "one by one") for (const [i, event] of events.entries()) await log.append(stream, from + i, event);
    else await log.batch(stream, from, events);
    proceed();
  }
}

/** How many milliseconds it takes. */
export async function timed(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return performance.now() - start;
}
