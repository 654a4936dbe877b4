// The first append of a page that has just been opened. Bundled with one peer each.
import { type Durability, eventAt, type Peer } from "../peers/peer.js";

declare global {
  /** Milliseconds since the navigation began. */
  var started: Promise<number> | undefined;
}

/** What a visit does: the first one to a page appends, a later one recovers what that one has left. */
export type Visit = "first" | "again";

export function start(peer: Peer): void {
  const query = new URLSearchParams(location.search);
  const [durability, visit] = [query.get("durability") as Durability, query.get("visit") as Visit];
  globalThis.started = visit === "first" ? first(peer, durability) : again(peer, durability);
}

/** How many events the first visit leaves. */
const left = 1_000;

async function first(peer: Peer, durability: Durability): Promise<number> {
  const log = await peer.open("bench start", durability);
  await log.append("log", 0, eventAt(0));
  const ms = performance.now();
  await log.batch("log", 1, Array.from({ length: left - 1 }, (_, i) => eventAt(i + 1)));
  await log.snapshot?.("log", false);
  await log.close();
  return ms;
}

async function again(peer: Peer, durability: Durability): Promise<number> {
  const log = await peer.open("bench start", durability);
  const found = await log.recover("log");
  const ms = performance.now();
  await log.close();
  if (found !== left) throw new Error(`it found ${found} events`);
  return ms;
}
