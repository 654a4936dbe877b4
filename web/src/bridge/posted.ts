import type { EventKind, Retry } from "./bridge.js";

/** An event to be recorded, and the functions that settle its call. */
export interface Posted {
  readonly kind: EventKind;
  readonly id: string;
  /** The time of receipt, or the index of the step. */
  readonly number: number;
  /** The body, the output, or the text of an error. */
  readonly data: Uint8Array | string | undefined;
  readonly resolve: (sequence: number) => void;
  readonly reject: (error: unknown) => void;
}

// Where wasm/posted_js.go reads the numbers. The id and the data follow.
const kindAt = 0;
const idLengthAt = 4;
const dataLengthAt = 8;
const formAt = 12;
const numberAt = 16;
const headLength = 24;

/** A step that is called. */
export interface PostedStep {
  readonly attempt: number;
  /** The call within whose function it is called, or 0. */
  readonly within: number;
  /** Separated by zeros, or empty. */
  readonly scopes: string;
  readonly name: string;
  /** Empty if it has none. */
  readonly key: string;
  /** One more than the order of the outcome that was delivered there last. */
  readonly after: number;
  readonly unordered: boolean;
  readonly streams: boolean;
  readonly resumes: boolean;
  /** See `policies`. */
  readonly policy: number;
  readonly retry: Retry;
}

// Where wasm/posted_js.go reads the numbers of a step: its call, its attempt, within, after, flags,
// policy, four for retries, and the lengths of scopes, name and key, which follow.
const stepHeadLength = 52;
const unorderedFlag = 1;
const streamsFlag = 2;
const resumesFlag = 4;

/** Whether a step fits into so many bytes. */
export function stepFits({ scopes, name, key }: PostedStep, size: number): boolean {
  const room = size - stepHeadLength;
  return 3 * (scopes.length + name.length + key.length) <= room || encoder.encode(scopes + name + key).length <= room;
}

/** Writes a step that is called with this number. */
export function writeStep(call: number, step: PostedStep, bytes: Uint8Array<ArrayBuffer>, numbers: DataView): void {
  const { scopes, name, key } = step;
  const scopesEnd = writeText(scopes, bytes, stepHeadLength);
  const nameEnd = writeText(name, bytes, scopesEnd);
  const keyEnd = writeText(key, bytes, nameEnd);
  const flags = (step.unordered ? unorderedFlag : 0) | (step.streams ? streamsFlag : 0) | (step.resumes ? resumesFlag : 0);
  const lengths = [scopesEnd - stepHeadLength, nameEnd - scopesEnd, keyEnd - nameEnd];
  let at = 0;
  for (const number of [call, step.attempt, step.within, step.after, flags, step.policy, ...step.retry, ...lengths]) {
    numbers.setUint32(at, number, true);
    at += 4;
  }
}

const noData = 0;
const bytesData = 1;
const textData = 2;

const encoder = new TextEncoder();

/** Returns at least the number of bytes that {@link writePosted} writes. */
export function sizeBound({ id, data }: Posted): number {
  return headLength + 3 * id.length + (typeof data === "string" ? 3 * data.length : (data?.byteLength ?? 0));
}

/** Writes an event at `at`, and returns where it ends. `numbers` is a view of `bytes`. */
export function writePosted({ kind, id, number, data }: Posted, bytes: Uint8Array<ArrayBuffer>, numbers: DataView, at: number): number {
  const idEnd = writeText(id, bytes, at + headLength);
  let [form, end] = [noData, idEnd];
  if (typeof data === "string") [form, end] = [textData, writeText(data, bytes, idEnd)];
  else if (data !== undefined) {
    bytes.set(data, idEnd);
    [form, end] = [bytesData, idEnd + data.byteLength];
  }
  numbers.setUint32(at + kindAt, kind, true);
  numbers.setUint32(at + idLengthAt, idEnd - at - headLength, true);
  numbers.setUint32(at + dataLengthAt, end - idEnd, true);
  numbers.setUint32(at + formAt, form, true);
  numbers.setFloat64(at + numberAt, number, true);
  return end;
}

/** Writes a text at `at`, and returns where it ends. */
function writeText(text: string, bytes: Uint8Array<ArrayBuffer>, at: number): number {
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit > 0x7f || i === mostByLoop) return at + encoder.encodeInto(text, bytes.subarray(at)).written;
    bytes[at + i] = unit;
  }
  return at + text.length;
}

/** Up to this length a loop is faster than a call of `TextEncoder`. */
const mostByLoop = 64;
