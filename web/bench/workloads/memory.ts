// How large the WebAssembly memory is, which never shrinks: after a long log was recovered, and after many appends more.
import { open } from "@holdfast-dev/holdfast";
import { watchInstances } from "../page/instances.js";
import { holdfast } from "../peers/holdfast.js";
import { eventAt } from "../peers/peer.js";
import { fill } from "./log.js";

export interface Memory {
  readonly recovered: number;
  readonly appended: number;
}

/** In megabytes of a million bytes. */
export async function memory(events: number, appends: number): Promise<Memory> {
  const writer = await holdfast.open("memory", "default");
  await fill(writer, "log", events, "in bursts", () => undefined);
  await writer.close();

  const instances = watchInstances(false);
  const reader = await open({ database: "memory", durability: "default" });
  const log = await reader.recover("log");
  const size = (): number => (instances[0]?.memory.buffer.byteLength ?? Number.NaN) / 1e6;
  const recovered = size();
  const together = 100; // one by one would take minutes
  for (let from = events; from < events + appends; from += together) {
    const records = Array.from({ length: together }, (_, i) => {
      const { message, step, output } = eventAt(from + i);
      return log.recordStepCompleted(message, step, output);
    });
    await Promise.all(records);
  }
  const appended = size();
  await reader.close();
  return { recovered, appended };
}
