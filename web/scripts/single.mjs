// Writes dist/holdfast.js: the package and its dependency in one module, for where there is no bundler. It lies beside
// holdfast.wasm, and finds that as dist/index.js does.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { rolldown } from "rolldown";
import { dist } from "./build-info.mjs";

const license = readFileSync(new URL("../node_modules/@msgpack/msgpack/LICENSE", import.meta.url), "utf8");
/** @type {{ version: string }} */
const { version } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8"));

const bundle = await rolldown({ input: join(dist, "index.js") });
await bundle.write({
  file: join(dist, "holdfast.js"),
  format: "esm",
  minify: true,
  banner: `/*! Holdfast ${version}, Apache-2.0: https://github.com/holdfast-dev/holdfast. With @msgpack/msgpack:\n\n${license}*/`,
});
await bundle.close();
