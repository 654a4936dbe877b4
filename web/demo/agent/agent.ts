// What an agent is here.
import type { Work } from "@holdfast-dev/holdfast";
import type { Found } from "./search.js";

/** Answers messages in steps. After a crash it is called again; completed steps do not run. */
export interface Agent {
  readonly label: string;
  /** The names of its steps, in order. The output of the last one is the answer. */
  readonly steps: readonly string[];
  answer(work: Work, tools: Tools): Promise<unknown>;
}

/** What agents may use. All of it varies, so they use it within steps. */
export interface Tools {
  /** The passages of the user's files that fit a query best, and how many files there are. */
  search(query: string): Promise<{ readonly files: number; readonly passages: readonly Found[] }>;
  /** What was said in the conversation before the message that is answered, oldest first. */
  history(): readonly Turn[];
  /** Waits until the user has entered where the language model is. */
  connection(signal: AbortSignal): Promise<Connection>;
}

export interface Turn {
  readonly question: string;
  readonly answer: string;
}

/** Where the language model is, as the user has entered it. */
export interface Connection {
  /** Such as `https://api.openai.com/v1`. */
  readonly address: string;
  readonly model: string;
  /** Empty if none is needed. */
  readonly key: string;
}
