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
export * from "./errors.js";
export { open } from "./open.js";
export type * from "./types.js";
