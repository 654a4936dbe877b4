// The first append of a page that has just been opened. Bundled with one peer each.
import { type Durability, eventAt, type Peer } from "../peers/peer.js";

declare global {
  /** Milliseconds since the navigation began. */
  var started: Promise<number> | undefined;
}

export function start(peer: Peer): void {
  const durability = new URLSearchParams(location.search).get("durability") as Durability;
  globalThis.started = first(peer, durability);
}

async function first(peer: Peer, durability: Durability): Promise<number> {
  const log = await peer.open("bench start", durability);
  await log.append("log", 0, eventAt(0));
  const ms = performance.now();
  await log.close();
  return ms;
}
