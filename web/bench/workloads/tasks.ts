// How long the longest task of a page is while it does something. Browsers report tasks of 50 ms and more (W3C, Long Tasks API).
import { type Holdfast, open } from "@holdfast-dev/holdfast";

const database = "tasks";
const conversations = 100;

let longest = 0;

const openStore = (): Promise<Holdfast> => open({ database, durability: "default" });

const observer = new PerformanceObserver((tasks) => note(tasks.getEntries()));

function note(tasks: PerformanceEntryList): void {
  for (const { duration } of tasks) longest = Math.max(longest, duration);
}

/** Shows the list of conversations: reads it whenever it has changed. */
export async function showList(): Promise<void> {
  const store = await openStore();
  store.subscribe(() => void store.list());
  observer.observe({ type: "longtask" });
}

export async function sendToMany(messages: number): Promise<void> {
  const store = await openStore();
  const all = Array.from({ length: conversations }, (_, i) => store.create(`conversation ${i}`));
  for (let from = 0; from < messages; from += conversations) await Promise.all(all.map((conversation, i) => conversation.send({ id: `${from + i}`, body: "hello" })));
  await store.close();
}

/** Sends a message with a body of so many characters, after a small one. */
export async function sendLarge(length: number): Promise<void> {
  const store = await openStore();
  const conversation = store.create("large");
  await conversation.send({ body: "small" });
  const body = "x".repeat(length);
  observer.observe({ type: "longtask" });
  await conversation.send({ body });
}

/** Has a step stream so many chunks in one task, while a listener reads what there is. */
export async function streamMany(chunks: number): Promise<void> {
  const store = await openStore();
  const conversation = store.create("streamed");
  let seen = 0;
  conversation.subscribe(() => (seen = Math.max(seen, (conversation.state.message("m")?.openSteps[0]?.chunks ?? []).length)));
  observer.observe({ type: "longtask" });
  conversation.process(async ({ step }) => {
    await step.stream("answer", async function* () {
      for (let i = 0; i < chunks; i++) yield "word ";
    });
  });
  await conversation.send({ id: "m" });
  await conversation.ended("m");
  if (seen === 0) throw new Error("no chunk was seen");
}

/** In milliseconds; 0 if none took 50. */
export async function longestTask(): Promise<number> {
  await new Promise((resolve) => setTimeout(resolve)); // else the last task is not over
  note(observer.takeRecords());
  return longest;
}
