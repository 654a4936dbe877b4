import { type ErrorCode, type ErrorDetails, HoldfastError, type Outcome, SequenceConflictError } from "../errors.js";

/** An error of the Go program, see wasm/failure_js.go. */
export interface Failure {
  readonly code: ErrorCode;
  readonly outcome: Outcome;
  readonly message: string;
  readonly operation?: string;
  readonly stream?: string;
  readonly cause?: string;
  readonly expected?: number;
  readonly actual?: number;
}

/** The error of all pending and all later calls, once the program has died. */
export function lost(cause: unknown): HoldfastError {
  return new HoldfastError(
    "instance_lost",
    "holdfast: instance_lost: the WebAssembly instance has died; what was committed is stored, so open again and recover",
    { outcome: "unknown", cause },
  );
}

/** Makes an Error of a failure. */
export function errorOf(failure: Failure): HoldfastError {
  const { code, message, outcome, operation, stream, cause } = failure;
  const details: ErrorDetails = { outcome, operation, stream, cause: cause === undefined ? undefined : new Error(cause) };
  if (failure.expected !== undefined && failure.actual !== undefined) {
    return new SequenceConflictError(message, failure.expected, failure.actual, details);
  }
  return new HoldfastError(code, message, details);
}
