// Appends to one log: one by one, many at once, and far behind its beginning.
import type { Contest } from "../page/contest.js";
import { peers } from "../peers/all.js";
import { holdfast } from "../peers/holdfast.js";
import { eventAt } from "../peers/peer.js";
import { fill, timed } from "./log.js";

/**
 * Each is acknowledged before the next begins. Browsers compile what runs often once more, which takes them some hundred appends.
 * A message is sent, or is the append that it comes to.
 */
export function oneByOne(rounds: number, warmUp: number, what: "events" | "messages" = "events"): Contest {
  const appends = 20;
  return {
    rounds,
    warmUp,
    secondsToPrepare: 10,
    secondsOfRounds: 20,
    async round(log, round) {
      const from = (round + warmUp) * appends;
      const ms = await timed(async () => {
        for (let i = from; i < from + appends; i++) {
          if (what === "messages" && log.send !== undefined) await log.send("log", `message ${i}`);
          else await log.append("log", i, eventAt(i));
        }
      });
      return { "": ms / appends };
    },
  };
}

/** Appends to a log of its own, with the default durability. */
export async function appendOnly(name: string, count: number): Promise<void> {
  const peer = peers.find((one) => one.name === name);
  if (peer === undefined) throw new Error(`there is no peer ${name}`);
  const log = await peer.open("appends", "default");
  const stream = crypto.randomUUID();
  for (let i = 0; i < count; i++) await log.append(stream, i, eventAt(i));
  await log.close();
}

/** Nobody waits for the one before, as when an answer is logged while it streams in. */
export function burst(rounds: number, calls: number): Contest {
  return {
    rounds,
    warmUp: 0,
    secondsToPrepare: 10,
    secondsOfRounds: 6,
    async round(log, round) {
      const events = Array.from({ length: calls }, (_, i) => eventAt(i));
      return { "": await timed(() => Promise.all(events.map((event, i) => log.append(`burst ${round}`, i, event)))) };
    },
  };
}

/** Bursts, each to a log of its own, with the default durability. */
export async function burstOnly(times: number, calls: number): Promise<void> {
  const log = await holdfast.open("bursts", "default");
  const first = eventAt(0);
  for (let i = 0; i < times; i++) {
    const stream = crypto.randomUUID();
    await Promise.all(Array.from({ length: calls }, (_, place) => log.append(stream, place, { ...first, message: `message-${place >> 3}`, step: place & 7 })));
  }
  await log.close();
}

/** The same events given at once, for libraries that have a way for that. */
export function batch(rounds: number, calls: number): Contest {
  return {
    rounds,
    warmUp: 1,
    secondsToPrepare: 10,
    secondsOfRounds: 6,
    async round(log, round) {
      const events = Array.from({ length: calls }, (_, i) => eventAt(i));
      return { "": await timed(() => log.batch(`batch ${round}`, 0, events)) };
    },
  };
}

/** Whether an append costs more behind a long log. */
export function atSequence(rounds: number, places: readonly number[]): Contest {
  const appends = 10;
  return {
    rounds,
    warmUp: 1,
    secondsToPrepare: 40,
    secondsOfRounds: 10,
    async prepare(log, contestant, proceed) {
      for (const place of places) await fill(log, `log ${place}`, place, contestant.written, proceed);
    },
    async round(log, round) {
      const measures: Record<string, number> = {};
      for (const place of places) {
        const from = place + (round + 1) * appends;
        const ms = await timed(async () => {
          for (let i = from; i < from + appends; i++) await log.append(`log ${place}`, i, eventAt(i));
        });
        measures[place.toLocaleString("en-US")] = ms / appends;
      }
      return measures;
    },
  };
}
