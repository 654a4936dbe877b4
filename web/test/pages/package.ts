// The whole package as one bundled module.
export * from "@holdfast-dev/holdfast";
// What no application sees, and a test may change.
export { patience } from "../../dist/delivery.js";
// What a test calls by itself.
export { streamed } from "../../dist/streamed.js";
