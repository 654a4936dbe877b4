// All other tests run what is in dist: it must be what the sources say.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "@playwright/test";
import { buildInfo, dist, wasmExec } from "../../scripts/build-info.mjs";

test("dist is not stale; if it is, run make build", () => {
  const built: unknown = JSON.parse(readFileSync(join(dist, "build.json"), "utf8"));
  expect(built).toEqual(buildInfo());
  expect(readFileSync(join(dist, "bridge/go.js"), "utf8"), "go.js has the script of this toolchain").toContain(wasmExec());
});
