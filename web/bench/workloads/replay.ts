// A handler that is called again, as after a crash, and gets what is stored of its steps.
import type { Contest } from "../page/contest.js";

export function replay(rounds: number, steps: number): Contest {
  return {
    rounds,
    warmUp: 2,
    secondsToPrepare: 10,
    secondsOfRounds: 60,
    async round(log, round) {
      const ms = await log.replay?.(`message ${round}`, steps);
      return ms === undefined ? {} : { "": ms };
    },
  };
}
