// All other tests run what is in dist: it must be what the sources say.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "@playwright/test";
import { buildInfo, dist, wasmExec } from "../../scripts/build-info.mjs";

test("dist is not stale; if it is, run make build", () => {
  const built: unknown = JSON.parse(readFileSync(join(dist, "build.json"), "utf8"));
  expect(built).toEqual(buildInfo());
  expect(readFileSync(join(dist, "bridge/go.js"), "utf8"), "go.js has the script of this toolchain").toContain(wasmExec());
});

test("each action of the workflows is that of one commit", () => {
  const folder = new URL("../../../.github/workflows/", import.meta.url);
  const used = readdirSync(folder).flatMap((file) => [...readFileSync(new URL(file, folder), "utf8").matchAll(/uses: (\S+)/g)].map(([, action]) => action));
  expect(used).not.toEqual([]);
  expect(used.filter((action) => !/@[0-9a-f]{40}$/.test(action ?? ""))).toEqual([]);
});
