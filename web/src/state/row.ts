import { decodeMulti } from "./decode.js";

// The bytes of a message, as core/row.go writes them. That file says what they mean.

/** `[id, flags, received at, body, error, runner, result, starts, steps, open steps]` */
export type Row = readonly [
  id: string,
  flags: number,
  receivedAt: number,
  body: Uint8Array,
  error: string,
  runner: Uint8Array,
  result: Uint8Array,
  starts: Uint8Array,
  steps: Uint8Array,
  openSteps: readonly OpenStepRow[],
];

export type OpenStepRow = readonly [index: number, name: string, flags: number, output: Uint8Array];

/** The flags of a message. */
export const flag = {
  received: 1,
  inProgress: 2,
  finished: 4,
  errored: 8,
  failed: 16,
  cancelled: 32,
  body: 64,
  result: 128,
  bodyOmitted: 256,
  resultOmitted: 512,
} as const;

/** The flags of an open step. */
export const openFlag = { started: 1, uncertain: 2, output: 4 } as const;

/** The length of one of the ids in `starts`. */
export const startLength = 16;

/** Reads rows that follow one another. */
export function decodeRows(rows: Uint8Array): Iterable<Row> {
  return decodeMulti(rows) as Iterable<Row>;
}

/** Reads completed steps: index, name and output of each in turn. */
export function decodeSteps(steps: Uint8Array): (number | string | Uint8Array)[] {
  return [...decodeMulti(steps)] as (number | string | Uint8Array)[];
}
