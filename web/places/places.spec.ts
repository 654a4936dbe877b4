// The package in every place where people put it, from the packed tarball, with nothing but what docs/install.md says.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "../test/harness/test.js";
import { Application, pack } from "./drive.js";
import { places } from "./table.js";

let folder: string;
let tarball: string;

test.beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "holdfast-packed-"));
  tarball = pack(folder);
});

test.afterAll(() => rmSync(folder, { recursive: true, force: true }));

for (const place of places) {
  test(place.name, { tag: "@launch" }, async ({ context, launch }) => {
    const application = new Application(place, tarball);
    try {
      await application.use(context, launch);
    } finally {
      application.remove();
    }
  });
}
