// Counts what one awaited append costs in calls between Go and JavaScript.
import { open } from "@holdfast-dev/holdfast";
import { watchInstances } from "../page/instances.js";
import { eventAt } from "../peers/peer.js";

/** Calls for one append, by the name of the function: those that Go imports, and those of Go as `go: name`. */
export async function crossings(appends: number): Promise<Record<string, number>> {
  const instances = watchInstances(true);
  const holdfast = await open({ database: "crossings", durability: "default" });
  const log = holdfast.create("log");
  const record = async (i: number): Promise<void> => {
    const { message, step, output } = eventAt(i);
    await log.recordStepCompleted(message, step, output);
  };
  for (let i = 0; i < appends; i++) await record(i); // warms up
  const counts = instances[0]?.crossings ?? new Map<string, number>();
  for (const name of counts.keys()) counts.set(name, 0);
  for (let i = appends; i < 2 * appends; i++) await record(i);
  const found = Object.fromEntries([...counts].map(([name, count]) => [name, count / appends]));
  await holdfast.close();
  return found;
}
