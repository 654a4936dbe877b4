// Appends the name of the build to the WebAssembly that is given, as a custom section "holdfast": the JavaScript has the same
// name, and refuses the WebAssembly of another build, which a cache may have kept.
import { appendFileSync } from "node:fs";
import { buildId } from "./build-info.mjs";

const [file = ""] = process.argv.slice(2);

/** @param {string} text */
const bytes = (text) => [...Buffer.from(text)];

// All lengths are below 128, and so one byte each (https://webassembly.github.io/spec/core/binary/modules.html#custom-section).
const name = bytes("holdfast");
const content = [name.length, ...name, ...bytes(buildId())];
appendFileSync(file, Uint8Array.from([0, content.length, ...content]));
