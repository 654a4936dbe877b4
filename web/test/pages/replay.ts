// Handlers of every shape, killed after each event of their logs.
import { changes } from "./replay/changed.js";
import { foreign, parallel, races, scopes } from "./replay/concurrent.js";
import { effects } from "./replay/effects.js";
import { failures, nested, sequences } from "./replay/sequential.js";
import type { Shape } from "./replay/shape.js";
import { streams } from "./replay/streams.js";
import { waits } from "./replay/waits.js";

export { random } from "../harness/random.js";
export { everywhere, here, Killer, type Report } from "./replay/kill.js";
export { randomShape } from "./replay/random.js";
export { id, live } from "./replay/run.js";
export { World } from "./replay/world.js";

/** Each shape, and what a later release has made of it. */
type Pair = readonly [before: Shape, after: Shape];

const same = (shapes: readonly Shape[]): readonly Pair[] => shapes.map((shape) => [shape, shape]);

export const groups: Readonly<Record<string, readonly Pair[]>> = {
  sequences: same(sequences),
  failures: same(failures),
  parallel: same(parallel),
  races: same(races),
  nested: same(nested),
  scopes: same(scopes),
  foreign: same(foreign),
  effects: same(effects),
  waits: same(waits),
  streams: same(streams),
  changed: changes.map(({ before, after }) => [before, after]),
};
