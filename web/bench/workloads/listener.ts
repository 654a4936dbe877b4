// A page that shows the list of conversations, while another one sends messages.
import { open } from "@holdfast-dev/holdfast";

const database = "listed";
const conversations = 100;

let longest = 0;

/** Reads the list whenever it has changed, and notes how long the longest task takes. Browsers report those of 50 ms and more. */
export async function showList(): Promise<void> {
  const store = await open({ database, durability: "default" });
  store.subscribe(() => void store.list());
  new PerformanceObserver((tasks) => {
    for (const { duration } of tasks.getEntries()) longest = Math.max(longest, duration);
  }).observe({ type: "longtask" });
}

export async function sendToMany(messages: number): Promise<void> {
  const store = await open({ database, durability: "default" });
  const all = Array.from({ length: conversations }, (_, i) => store.create(`conversation ${i}`));
  for (let from = 0; from < messages; from += conversations) await Promise.all(all.map((conversation, i) => conversation.send({ id: `${from + i}`, body: "hello" })));
  await store.close();
}

/** In milliseconds; 0 if none took 50. */
export function longestTask(): number {
  return longest;
}
