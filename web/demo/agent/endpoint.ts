// An agent with a language model at any OpenAI-compatible endpoint.
import { StepError, TerminalError, type Work } from "@holdfast-dev/holdfast";
import { EventSourceParserStream } from "eventsource-parser/stream";
import { compact, field, listOf, textOf } from "../message.js";
import type { Agent, Connection, Tools } from "./agent.js";
import { type Prompt, promptFor } from "./prompt.js";
import { queryOf } from "./search.js";

export const endpoint: Agent = {
  label: "Language model at an address",
  steps: [{ name: "query" }, { name: "words", insteadOf: "query" }, { name: "search" }, { name: "answer" }],

  async answer({ message, history, step }, tools) {
    const question = textOf(message.body);
    const query = await queryFor(question, step, tools);
    const { passages } = await step("search", () => tools.search(query));
    return await step.stream("answer", async ({ signal }) => {
      return stream(await tools.connection(signal), promptFor(question, passages, history), signal);
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
    return await step("words", () => queryOf(question).join(" "));
  }
}

async function complete(to: Connection, messages: Prompt, signal: AbortSignal): Promise<string> {
  const answer: unknown = await (await post(to, { messages }, signal)).json();
  const content = field(property(choiceOf(answer), "message"), "content") ?? "";
  if (content.trim() === "") throw nothing();
  return content;
}

/** The choice in what a model answers. Throws what it says instead: some services say it with the status 200. */
function choiceOf(answer: unknown): unknown {
  const problem = property(answer, "error") ?? undefined;
  if (problem !== undefined) throw new Error(field(problem, "message") ?? compact(problem));
  return listOf(answer, "choices")[0];
}

const nothing = (): Error => new Error("the model has answered nothing");

const property = (value: unknown, name: string): unknown => Reflect.get(Object(value) as object, name);

/** What a model ends with that had more to say (`finish_reason`), in words for people. */
const cuts: Readonly<Record<string, string>> = {
  length: "The answer ends here: it has reached the length that the model may answer with.",
  content_filter: "The answer ends here: a filter of the model's provider has cut it off.",
};

/** Yields the tokens of an answer. Throws if it was cut off on its way: then nothing has said that it is over. */
async function* stream(to: Connection, messages: Prompt, signal: AbortSignal): AsyncGenerator<string> {
  const { body } = await post(to, { messages, stream: true }, signal);
  if (body === null) throw nothing();
  const reader = body.pipeThrough(new TextDecoderStream()).pipeThrough(new EventSourceParserStream()).getReader();
  let reason = "";
  let answered = false;
  try {
    while (reason === "") {
      const { done, value } = await reader.read();
      if (done) throw new Error("the answer was cut off");
      if (value.data === "[DONE]") break;
      const choice = choiceOf(JSON.parse(value.data));
      reason = field(choice, "finish_reason") ?? "";
      const token = field(property(choice, "delta"), "content") ?? "";
      if (token === "") continue;
      answered = true;
      yield token;
    }
  } finally {
    reader.cancel().catch(() => undefined); // it is of no use any more, and would go on
  }
  const cut = cuts[reason];
  if (cut !== undefined) yield `\n\n[${cut}]`;
  else if (!answered) throw nothing();
}

/**
 * Why this page cannot ask a model at an address; undefined if it can. The browser itself says no more than that a
 * request has failed.
 */
export function problemWith(address: string): string | undefined {
  if (!URL.canParse(address)) return `“${address}” is no address`;
  const url = new URL(address);
  const here = url.hostname === "localhost" || url.hostname === "127.0.0.1";
  if (url.protocol === "https:" || url.origin === location.origin || (url.protocol === "http:" && here)) return undefined;
  return `This page asks models over HTTPS, and over HTTP only on this computer: its policy, and most browsers, forbid ${url.origin}. Give the model an address with https, or forward a port of localhost to it.`;
}

/** Without a network it waits for one: that is no failure of the step. */
async function post({ address, model, key }: Connection, body: object, signal: AbortSignal): Promise<Response> {
  const problem = problemWith(address);
  if (problem !== undefined) throw new TerminalError(problem);
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
    const refusal = `the model answered ${response.status}: ${(await response.text()).slice(0, 300)}`;
    const passes = response.status >= 500 || response.status === 408 || response.status === 429;
    throw passes ? new Error(refusal) : new TerminalError(refusal);
  }
}

function online(signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const over = new AbortController();
    addEventListener("online", () => (over.abort(), resolve()), { signal: over.signal });
    signal.addEventListener("abort", () => (over.abort(), reject(signal.reason as Error)), { signal: over.signal });
  });
}
