/**
 * Durable conversations for browser agents and offline-first chat clients.
 *
 * ```ts
 * import { open } from "@holdfast-dev/holdfast";
 *
 * const holdfast = await open();
 * const conversation = await holdfast.recover("support");
 * ```
 *
 * @packageDocumentation
 */
export { open } from "./open.js";
export { errorCodes, HoldfastError, SequenceConflictError, TerminalError } from "./errors.js";
export type { ErrorCode, ErrorDetails, Outcome } from "./errors.js";
export type {
  Conversation,
  ConversationEvent,
  ConversationInfo,
  ConversationState,
  Damage,
  Decision,
  Durability,
  Handler,
  Health,
  Holdfast,
  Message,
  OpenOptions,
  OpenStep,
  ProcessOptions,
  RetryOptions,
  RunStep,
  Step,
  StepContext,
  StepOptions,
  Storable,
  Streamed,
  Verification,
  Work,
} from "./types.js";
