import { decodeMulti } from "./decode.js";

// The bytes of a message, as core/row.go writes them. That file says what they mean.

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
  fatal: readonly number[],
  seed: Uint8Array,
  next: number,
  outcomes: number,
  due: number,
  back: number,
  began: number,
  changed: number,
  noted: number,
];

const rowLength = 19;

/** The row of a note, as core/note.go writes it. */
export type NoteRow = readonly [id: string, type: string, at: number, data?: Uint8Array];

/** The row of the metadata, see metadata.ts. */
export type MetadataRow = readonly [metadata: Uint8Array];

type PlaceRow = readonly [scope: string, key: Uint8Array, count: number, after: number, unordered: number, called: number];
type OpenStepHead = readonly [index: number, name: string, flags: number, output: Uint8Array, attempts: number, due: number];

/** A place follows if the flags say so, and then a failure if they do. */
export type OpenStepRow = readonly [...OpenStepHead, ...unknown[]];

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
  parked: 256,
  pass: 512,
  part: 1024,
  bodyOmitted: 2048,
  resultOmitted: 4096,
} as const;

/** The flags of an open step. */
export const openFlag = { started: 1, uncertain: 2, output: 4, waiting: 8, sleep: 16, pass: 32, placed: 64, tried: 128 } as const;

/** The flags of the details of a step. */
const detailsFlag = { placed: 1, failed: 2 } as const;

/** The length of one of the ids in `starts`. */
export const startLength = 16;

/** Where a step is called, as core/place.go says. */
export interface Place {
  readonly path: string;
  readonly scope: string;
  /** One more than the order of the outcome that was delivered last before the call; 0 for none. */
  readonly after: number;
  readonly unordered: boolean;
  readonly called: number;
}

/** Name and message of an error and then of each cause. */
export type FailureTexts = readonly string[];

/** What else is known of a step that has ended. */
export interface Details {
  readonly order: number;
  readonly place: Place | undefined;
  readonly failure: FailureTexts | undefined;
  readonly attempts: number;
}

/** Whether a row is that of a message. */
export const isMessage = (row: Row | NoteRow | MetadataRow): row is Row => row.length === rowLength;

/** Reads rows that follow one another. */
export function decodeRows(rows: Uint8Array): Iterable<Row | NoteRow | MetadataRow> {
  return decodeMulti(rows) as Iterable<Row | NoteRow | MetadataRow>;
}

/** Reads steps that have ended: index, name, output and details of each in turn. */
export function decodeSteps(steps: Uint8Array): (number | string | Uint8Array)[] {
  return [...decodeMulti(steps)] as (number | string | Uint8Array)[];
}

export function decodeDetails(name: string, bytes: Uint8Array): Details {
  const [order, flags, ...rest] = [...decodeMulti(bytes)] as [number, number, ...unknown[]];
  const placed = (flags & detailsFlag.placed) !== 0;
  const [failure, attempts = 0] = ((flags & detailsFlag.failed) === 0 ? [] : rest.slice(placed ? placeLength : 0)) as [FailureTexts?, number?];
  return { order, place: placed ? placeOf(name, rest) : undefined, failure, attempts };
}

/** Place and failure of an open step. */
export function decodeOpenStep([, name, flags, , , , ...rest]: OpenStepRow): { readonly place: Place | undefined; readonly failure: FailureTexts | undefined } {
  const placed = (flags & openFlag.placed) !== 0;
  const failure = (flags & openFlag.tried) === 0 ? undefined : (rest[placed ? placeLength : 0] as FailureTexts);
  return { place: placed ? placeOf(name, rest) : undefined, failure };
}

const placeLength = 6;

function placeOf(name: string, elements: readonly unknown[]): Place {
  const [scope, key, count, after, unordered, called] = elements as unknown as PlaceRow;
  const keyed = key.length > 0;
  const hash = keyed ? `=${Array.from(key, (byte) => byte.toString(16).padStart(2, "0")).join("")}` : "";
  return { path: scope + escape(name) + hash + (keyed && count === 0 ? "" : `#${count}`), scope, after, unordered: unordered === 1, called };
}

/** Keeps the parts of a path apart. */
function escape(name: string): string {
  return name.replace(/[%/:=#]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);
}
