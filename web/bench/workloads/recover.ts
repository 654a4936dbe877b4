// Reads a log back and builds the state, and looks at how long the page could not react meanwhile.
import type { Contest } from "../page/contest.js";
import { holdfast } from "../peers/holdfast.js";
import { fill, timed } from "./log.js";

const longestTask = "longest task, 0 if none is over 50 ms";

export function recover(rounds: number, length: number): Contest {
  return {
    rounds,
    warmUp: 1,
    secondsToPrepare: Math.max(15, length / 400),
    secondsOfRounds: 8,
    afresh: true,
    async prepare(log, { written }, proceed) {
      await fill(log, "log", length, written, proceed);
      await log.snapshot?.("log", written === "with a snapshot");
    },
    async round(log, _round, { written }) {
      await log.snapshot?.("log", written === "with a snapshot");
      const tasks = new Tasks();
      let found = 0;
      const ms = await timed(async () => {
        found = await log.recover("log");
      });
      if (found !== length) throw new Error(`recovered ${found} events of ${length}`);
      return { "": ms, [longestTask]: await tasks.longest() };
    },
  };
}

/** Writes a log of Holdfast, and waits for its snapshot. */
export async function prepareRecovery(events: number): Promise<void> {
  const log = await holdfast.open("recoveries", "default");
  await fill(log, "log", events, "with a snapshot", () => undefined);
  await log.snapshot?.("log", true);
  await log.close();
}

/** Recovers that log. */
export async function recoverOnly(times: number): Promise<void> {
  const log = await holdfast.open("recoveries", "default");
  for (let i = 0; i < times; i++) await log.recover("log");
  await log.close();
}

/** Tasks of the main thread of more than 50 ms, as the browser reports them (Long Tasks API). */
class Tasks {
  #longest = 0;
  readonly #observer = new PerformanceObserver((list) => this.#see(list.getEntries()));

  constructor() {
    this.#observer.observe({ type: "longtask" });
  }

  #see(entries: PerformanceEntryList): void {
    for (const { duration } of entries) this.#longest = Math.max(this.#longest, duration);
  }

  /** 0 if none was reported. */
  async longest(): Promise<number> {
    // A task is reported when it has ended, and this one is part of it.
    await new Promise((resolve) => setTimeout(resolve, 20));
    this.#see(this.#observer.takeRecords());
    this.#observer.disconnect();
    return this.#longest;
  }
}
