// Writes dist/bridge/go.js: the toolchain's wasm_exec.js as a module that does nothing when it is imported. The script
// assigns to globalThis and reads the global fs; parameters with these names keep it off the page's own globals.
import { copyFileSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { buildId, dist, wasmExec } from "./build-info.mjs";

const license = readFileSync(new URL("go-license.txt", import.meta.url), "utf8");

writeFileSync(
  join(dist, "bridge/go.js"),
  `/*! wasm_exec.js of the Go distribution:\n\n${license}*/\nexport function defineGo(globalThis, fs, read) {\n` +
    `${wasmExec()}\nreturn globalThis.Go;\n}\nexport const build = "${buildId()}";\n`,
);
copyFileSync(new URL("../src/bridge/go.d.ts", import.meta.url), join(dist, "bridge/go.d.ts"));
