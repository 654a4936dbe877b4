// Lists conversations, and goes on with those that were interrupted, in a page that has just opened the database.
import type { Contest } from "../page/contest.js";
import { eventAt } from "../peers/peer.js";
import { timed } from "./log.js";

const together = 500;

/** How many conversations have an unfinished message. */
const unfinished = 3;

export function list(rounds: number, logs: number): Contest {
  return {
    rounds,
    warmUp: 1,
    secondsToPrepare: 60,
    secondsOfRounds: 20,
    afresh: true,
    async prepare(log, _contestant, proceed) {
      for (let from = 0; from < logs; from += together) {
        const places = Array.from({ length: Math.min(together, logs - from) }, (_, i) => from + i);
        await Promise.all(places.map((place) => log.append(`conversation ${place}`, 0, eventAt(place))));
        proceed();
      }
      for (let place = 0; place < unfinished; place++) await log.send?.(`conversation ${place}`, "unfinished");
    },
    async round(log) {
      let found: number | undefined;
      const ms = await timed(async () => {
        found = await log.list?.();
      });
      if (found !== logs) throw new Error(`listed ${found} logs of ${logs}`);
      let rows: number | undefined;
      const page = await timed(async () => {
        rows = await log.page?.();
      });
      let stop: (() => Promise<void>) | undefined;
      const begin = await timed(async () => {
        stop = await log.begin?.(unfinished);
      });
      await stop?.();
      return {
        "": ms,
        ...(rows === undefined ? {} : { "a page of 50, the latest first": page }),
        ...(stop === undefined ? {} : { "find and begin 3 that are unfinished": begin }),
      };
    },
  };
}
