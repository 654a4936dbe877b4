// An agent with the language model that some browsers have built in (W3C Prompt API,
// https://webmachinelearning.github.io/prompt-api/).
import { TerminalError } from "@holdfast-dev/holdfast";
import { textOf } from "../message.js";
import type { Agent } from "./agent.js";
import { type Prompt, promptFor } from "./prompt.js";

interface Session {
  promptStreaming(prompt: string, options: { signal: AbortSignal }): ReadableStream<string>;
  destroy(): void;
}

/** What the model has to support. */
const abilities = { expectedOutputs: [{ type: "text", languages: ["en"] }] } as const;

interface LanguageModel {
  availability(options: typeof abilities): Promise<"unavailable" | "downloadable" | "downloading" | "available">;
  create(options: typeof abilities & { initialPrompts: Prompt; signal: AbortSignal }): Promise<Session>;
}

const languageModel = (): LanguageModel | undefined => (globalThis as { readonly LanguageModel?: LanguageModel }).LanguageModel;

/** Whether this browser has the interface of a model. */
export const mayHaveBuiltin = (): boolean => languageModel() !== undefined;

/** Whether it has a model, or can get it. */
export async function hasBuiltin(): Promise<boolean> {
  try {
    return ((await languageModel()?.availability(abilities)) ?? "unavailable") !== "unavailable";
  } catch {
    return false;
  }
}

export const builtin: Agent = {
  label: "This browser's own model",
  steps: [{ name: "search" }, { name: "answer" }],

  async answer({ message, history, step }, tools) {
    const question = textOf(message.body);
    const { passages } = await step("search", () => tools.search(question));
    return await step.stream("answer", ({ signal }) => stream(promptFor(question, passages, history), signal));
  },
};

async function* stream(prompt: Prompt, signal: AbortSignal): AsyncGenerator<string> {
  const model = languageModel();
  if (model === undefined) throw new TerminalError("this browser has no model of its own; ask another agent");
  const session = await model.create({ ...abilities, initialPrompts: prompt.slice(0, -1), signal });
  try {
    const reader = session.promptStreaming(prompt.at(-1)?.content ?? "", { signal }).getReader();
    for (let read = await reader.read(); !read.done; read = await reader.read()) yield read.value;
  } finally {
    session.destroy();
  }
}
