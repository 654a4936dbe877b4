// What bodies, outputs and results may be, as the declarations say. Type-checked only, in a setting of `lib` in which a
// ReadableStream is no AsyncIterable.
import { type Conversation, type Handler, type Holdfast, open, type StepFunction, type Work } from "@holdfast-dev/holdfast";
import { useConversation, useHoldfast, useProcess } from "@holdfast-dev/holdfast/react";

interface Ask {
  text: string;
  files?: string[];
  from: { at: Date; bytes: Uint8Array } | null;
}
interface Plan {
  readonly query: string;
  parts?: Plan[];
}

export async function bodies(ask: Ask, json: unknown, either: string | Uint8Array): Promise<void> {
  const chat = await (await open()).recover("chat");
  for (const body of [ask, json, either, null, undefined, [1, { a: "b" }] as const]) await chat.send({ body });
  await chat.send({ body: ask, onlyIf: "exists" });
  await chat.send({ body: either });
  await chat.recordStepCompleted("m", 0, either);
  await chat.answer("m", 0, ask);
  // @ts-expect-error -- a Map would come back empty
  await chat.send({ body: new Map([[1, 2]]) });
  // @ts-expect-error
  await chat.send({ body: { when: () => 1 } });
  // @ts-expect-error
  await chat.recordMessageReceived({ id: "m", body: 1n });
  // @ts-expect-error
  await chat.answer("m", 0, new URL("https://example.org"));
  // @ts-expect-error
  await chat.send({ bdy: 1 });
}

interface Shown {
  title?: string;
  tags: string[];
  at: Date;
}

export async function kept(ask: Ask, shown: Shown, patch: Record<string, unknown>): Promise<string | undefined> {
  const holdfast = await open();
  const chat = await holdfast.recover("chat");
  const id: string = await chat.note("draft", ask, { ifLast: null });
  await chat.note("draft", undefined, { id: "a", ifLast: id });
  await chat.setMetadata(shown);
  await chat.setMetadata({ title: undefined, pinned: true });
  await chat.setMetadata(patch, { onlyIf: "exists" });
  // @ts-expect-error
  await chat.note("draft", new Map());
  // @ts-expect-error
  await chat.note("draft", 1, { iflast: null });
  // @ts-expect-error
  await chat.setMetadata({ when: () => 1 });
  // @ts-expect-error
  await chat.setMetadata("title");
  // @ts-expect-error
  chat.metadata["title"] = "Trees";
  const [row] = (await holdfast.list()).rows;
  const texts: string[] = chat.state.notes<Ask>("draft").map(({ data }) => data.text);
  return texts.at(0) ?? String(chat.metadata["title"] ?? row?.metadata["title"]);
}

export const outputs: Handler = async ({ step }: Work) => {
  const plan: Plan = await step("plan", async (): Promise<Plan> => ({ query: "" }));
  const either: string | number = await step("either", () => (plan.query === "" ? "a" : 1));
  const nothing: void = await step("nothing", () => {});
  const json = await step("json", async ({ signal }) => (await fetch("/", { signal })).json());
  const text: string = await step.stream("text", async () => new Response("text").body?.pipeThrough(new TextDecoderStream()) ?? new ReadableStream<string>());
  const items: string | readonly { a: number }[] = await step.stream("items", async function* () {
    yield { a: 1 };
  });
  await step.wait<Plan>("ask", { prompt: plan });
  // @ts-expect-error -- a Response is not plain data
  await step("response", () => fetch("/"));
  // @ts-expect-error
  await step("map", () => new Map([[1, 2]]));
  // @ts-expect-error
  await step("inner", async () => ({ of: new Set<string>() }));
  // @ts-expect-error
  await step.stream("functions", async function* () {
    yield () => 1;
  });
  return { either, nothing, json, text, items };
};

/** A wrapper with a type parameter of its own. */
export function twice<T>({ step }: Work, name: string, fn: () => Promise<T>): Promise<T> {
  return step(name, (async () => (await fn(), fn())) as StepFunction<T>);
}

export async function typed(ask: Ask): Promise<string | undefined> {
  const chat: Conversation<Ask, string> = await (await open()).recover<Ask, string>("chat");
  await chat.send({ body: ask });
  // @ts-expect-error
  await chat.send({ body: "text" });
  chat.process(async ({ message }) => message.body.text);
  // @ts-expect-error
  chat.process(() => 1);
  // @ts-expect-error
  (await (await open()).recover("chat")).process(() => new Map([[1, 2]]));
  const { body, result, status } = await chat.ended(await chat.send({ body: ask }));
  return status === "finished" ? result : body.text;
}

export function useChat(agent: Handler<Ask, string>): string {
  const { holdfast, error } = useHoldfast();
  const chat = useConversation<Ask, string>(holdfast, "chat");
  useProcess(chat, agent, { maxAttempts: 3 });
  if (error !== undefined) return error.code;
  if (chat.status !== "open") return chat.status;
  return chat.state.messages.map((message) => `${message.body.text}: ${String(message.output("answer"))}`).join();
}

/** With `wasm` an address, as bundlers give one. */
export const given: Promise<Holdfast> = Promise.all([import("@holdfast-dev/holdfast/holdfast.wasm"), import("@holdfast-dev/holdfast/holdfast.wasm?url")]).then(
  ([plain, named]) => open({ wasm: plain.default + named.default }),
);
