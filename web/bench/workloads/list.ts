// Lists all conversations, in a page that has just opened the database.
import type { Contest } from "../page/contest.js";
import { eventAt } from "../peers/peer.js";
import { timed } from "./log.js";

const together = 500;

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
    },
    async round(log) {
      let found: number | undefined;
      const ms = await timed(async () => {
        found = await log.list?.();
      });
      if (found !== logs) throw new Error(`listed ${found} logs of ${logs}`);
      return { "": ms };
    },
  };
}
