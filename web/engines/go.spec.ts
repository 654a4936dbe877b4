// The suite that every store runs, in Go. Other than the package, a Go program carries out an append step by step.
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Server } from "../test/harness/server.js";
import { expect, test } from "../test/harness/test.js";

interface Go {
  argv: string[];
  exit: (code: number) => void;
  readonly importObject: WebAssembly.Imports;
  run(instance: WebAssembly.Instance): Promise<void>;
}

test("the contract of stores, over IndexedDB", async ({ page }) => {
  const root = execFileSync("go", ["env", "GOROOT"], { encoding: "utf8" }).trim();
  const server = await Server.start({ "/go/": join(root, "lib", "wasm"), "/suite/": fileURLToPath(new URL("../../.build/engines/", import.meta.url)) });
  try {
    await page.goto(server.origin);
    const { code, output } = await page.evaluate(async () => {
      const lines: string[] = [];
      console.log = (line: string) => lines.push(line);
      const helper: string = "/go/wasm_exec.js"; // a script, which defines Go
      await import(helper);
      const go = new (globalThis as unknown as { Go: new () => Go }).Go();
      go.argv = ["idbstore.test", "-test.v", "-test.run=^TestContract$"];
      let status = -1;
      go.exit = (value) => (status = value);
      const { instance } = await WebAssembly.instantiateStreaming(fetch("/suite/idbstore.wasm"), go.importObject);
      await go.run(instance);
      return { code: status, output: lines.join("\n") };
    });
    const passed = output.match(/^ *--- PASS/gm)?.length ?? 0;
    expect(code, output.slice(-5000)).toBe(0);
    expect(passed).toBeGreaterThan(100);
  } finally {
    await server.close();
  }
});
