import { mark } from "./brand.js";

/** The closed list of failures; the same strings as the codes of package `core` in Go. */
export const errorCodes = [
  "sequence_conflict",
  "cursor_regression",
  "outcome_unknown",
  "corrupt",
  "gap",
  "store_reset",
  "quota_exceeded",
  "too_large",
  "invalid_argument",
  "unsupported_version",
  "out_of_range",
  "blocked",
  "closed",
  "storage_unavailable",
  "instance_lost",
  "step_mismatch",
  "lost_ownership",
  "cancelled",
] as const;

/** One entry of {@link errorCodes}. */
export type ErrorCode = (typeof errorCodes)[number];

/**
 * What an error means for the write that it rejected: `"not_written"`, and the same call may
 * succeed later; `"unknown"`, it may have been committed; `"permanent"`, nothing was written and
 * the same call can never succeed.
 */
export type Outcome = "not_written" | "unknown" | "permanent";

/** Details of a {@link HoldfastError}. */
export interface ErrorDetails {
  readonly outcome?: Outcome | undefined;
  readonly operation?: string | undefined;
  readonly stream?: string | undefined;
  readonly cause?: unknown;
}

/** The error that every rejection and every throw of this package is. */
export class HoldfastError extends Error {
  override readonly name: string = "HoldfastError";
  readonly code: ErrorCode;
  readonly outcome: Outcome;
  /** What was attempted, such as `"append"`. */
  readonly operation: string | undefined;
  /** The conversation or key it was about. */
  readonly stream: string | undefined;

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.code = code;
    this.outcome = details.outcome ?? "permanent";
    this.operation = details.operation;
    this.stream = details.stream;
  }
}

/** An append lost against another one. Nothing was written; refresh and decide again. */
export class SequenceConflictError extends HoldfastError {
  override readonly name = "SequenceConflictError";
  /** The head that the conversation expected. */
  readonly expected: number;
  /** The head that the store has. */
  readonly actual: number;

  constructor(message: string, expected: number, actual: number, details: ErrorDetails = {}) {
    super("sequence_conflict", message, details);
    this.expected = expected;
    this.actual = actual;
  }
}

/**
 * Thrown by a step's function: the step fails at once, without another attempt. Of a step with side
 * effects it says that certainly nothing was done.
 */
export class TerminalError extends Error {
  override readonly name = "TerminalError";

  constructor(message?: string, options?: ErrorOptions) {
    super(message, options);
    mark(this, "TerminalError");
  }
}

/**
 * What a step rejects with that has failed: what is stored of the error that its function threw last,
 * so that the first run and every replay see the same. `name`, `message` and the chain of `cause` are
 * those of that error.
 */
export class StepError extends Error {
  override readonly name: string;
  /** Name and index of the step. */
  readonly step: string;
  readonly index: number;
  /** How often its function was called. */
  readonly attempts: number;

  /** `texts` are the name and the message of the error and then of each cause. */
  constructor(step: string, index: number, attempts: number, texts: readonly string[]) {
    const [name = "Error", message = "", ...causes] = texts;
    super(message, causes.length === 0 ? undefined : { cause: causeOf(causes) });
    this.name = name;
    this.step = step;
    this.index = index;
    this.attempts = attempts;
    mark(this, "StepError");
  }
}

function causeOf([name = "Error", message = "", ...causes]: readonly string[]): Error {
  const error = new Error(message, causes.length === 0 ? undefined : { cause: causeOf(causes) });
  error.name = name;
  return error;
}
