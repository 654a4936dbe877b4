// A message that an agent answers in six steps: received, started, six outputs, finished. Each step waits for the one before.
import type { Contest } from "../page/contest.js";
import { eventAt } from "../peers/peer.js";
import { timed } from "./log.js";

const events = 9;

/** Through the runner where there is one; otherwise the nine appends that it comes to. */
export function agentMessage(rounds: number): Contest {
  const messages = 4;
  return {
    rounds,
    warmUp: 1,
    secondsToPrepare: 10,
    secondsOfRounds: 20,
    async round(log, round) {
      const from = (round + 1) * messages;
      const ms = await timed(async () => {
        for (let message = from; message < from + messages; message++) {
          if (log.answer !== undefined) await log.answer("agent", `message-${message}`);
          else for (let i = 0; i < events; i++) await log.append("agent", message * events + i, eventAt(i));
        }
      });
      return { "": ms / messages };
    },
  };
}
