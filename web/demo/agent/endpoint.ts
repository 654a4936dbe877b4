// An agent with a language model at any OpenAI-compatible endpoint.
import { StepError, TerminalError, type Work } from "@holdfast-dev/holdfast";
import { EventSourceParserStream } from "eventsource-parser/stream";
import { field, listOf, textOf } from "../message.js";
import type { Agent, Connection, Tools } from "./agent.js";
import { type Prompt, promptFor } from "./prompt.js";
import { wordsOf } from "./search.js";

export const endpoint: Agent = {
  label: "Language model at an address",
  steps: [{ name: "query" }, { name: "words", insteadOf: "query" }, { name: "search" }, { name: "answer" }],

  async answer({ message, step }, tools) {
    const question = textOf(message.body);
    const query = await queryFor(question, step, tools);
    const { passages } = await step("search", () => tools.search(query));
    return await step.stream("answer", async ({ signal }) => {
      return stream(await tools.connection(signal), promptFor(question, passages, tools.history()), signal);
    });
  },
};

/** Returns what to search for: what the model says or, if it cannot, the words of the question. */
async function queryFor(question: string, step: Work["step"], tools: Tools): Promise<string> {
  try {
    return await step(
      "query",
      async ({ signal }) => {
        const { files } = await tools.search("");
        if (files === 0) return ""; // nothing to search, nothing to pay
        const content = `Name three to eight words, and nothing else, to search the user's notes for in order to answer: ${question}`;
        return await complete(await tools.connection(signal), [{ role: "user", content }], signal);
      },
      { maxAttempts: 2 }, // there is another way
    );
  } catch (error) {
    if (!(error instanceof StepError)) throw error;
    return await step("words", () => wordsOf(question).join(" "));
  }
}

async function complete(to: Connection, messages: Prompt, signal: AbortSignal): Promise<string> {
  const answer: unknown = await (await post(to, { messages }, signal)).json();
  const [choice] = listOf(answer, "choices");
  return field(Reflect.get(Object(choice) as object, "message"), "content") ?? "";
}

/** Yields the tokens of an answer. Throws if it was cut off, and so ends without `[DONE]`. */
async function* stream(to: Connection, messages: Prompt, signal: AbortSignal): AsyncGenerator<string> {
  const { body } = await post(to, { messages, stream: true }, signal);
  if (body === null) throw new Error("the model has answered nothing");
  const reader = body.pipeThrough(new TextDecoderStream()).pipeThrough(new EventSourceParserStream()).getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) throw new Error("the answer was cut off");
    if (value.data === "[DONE]") return;
    const event: unknown = JSON.parse(value.data);
    const problem = field(Reflect.get(Object(event) as object, "error"), "message");
    if (problem !== undefined) throw new Error(problem);
    const [choice] = listOf(event, "choices");
    const token = field(Reflect.get(Object(choice) as object, "delta"), "content");
    if (token !== undefined && token !== "") yield token;
  }
}

/** Without a network it waits for one: that is no failure of the step. */
async function post({ address, model, key }: Connection, body: object, signal: AbortSignal): Promise<Response> {
  const request = {
    method: "POST",
    headers: { "content-type": "application/json", ...(key === "" ? {} : { authorization: `Bearer ${key}` }) },
    body: JSON.stringify({ model, ...body }),
    signal,
  };
  for (;;) {
    let response: Response;
    try {
      response = await fetch(`${address.replace(/\/+$/u, "")}/chat/completions`, request);
    } catch (error) {
      if (navigator.onLine || signal.aborted) throw error;
      await online(signal);
      continue;
    }
    if (response.ok) return response;
    const problem = `the model answered ${response.status}: ${(await response.text()).slice(0, 300)}`;
    const passes = response.status >= 500 || response.status === 408 || response.status === 429;
    throw passes ? new Error(problem) : new TerminalError(problem);
  }
}

function online(signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const over = new AbortController();
    addEventListener("online", () => (over.abort(), resolve()), { signal: over.signal });
    signal.addEventListener("abort", () => (over.abort(), reject(signal.reason as Error)), { signal: over.signal });
  });
}
