// What an agent is here.
import type { Storable, Work } from "@holdfast-dev/holdfast";
import type { Found } from "./search.js";

/** Answers messages in steps. After a crash it is called again; completed steps do not run. */
export interface Agent {
  readonly label: string;
  /** Its steps, in order. The output of the last one is the answer. */
  readonly steps: readonly Planned[];
  answer(work: Work, tools: Tools): Promise<unknown>;
}

/** A step of an agent, as it is shown to people. */
export interface Planned {
  readonly name: string;
  /** The step whose fallback it is: it runs only when that has failed. */
  readonly insteadOf?: string;
  /** Whether it is a question to the user, which is left out when there is nothing to ask. */
  readonly asks?: boolean;
}

/** What is asked when a step waits for the user, as it is stored. Aliases, since an interface is no {@link Storable}. */
export type Question = {
  readonly text: string;
  readonly about: string;
  readonly choices: readonly Choice[];
};

/** One of the answers to a question. */
export type Choice = {
  readonly label: string;
  readonly answer: Storable;
};

/** What agents may use. All of it varies, so they use it within steps. */
export interface Tools {
  /** The passages of the user's files that fit a query best, and how many files there are. */
  search(query: string): Promise<{ readonly files: number; readonly passages: readonly Found[] }>;
  /** The passages that have a text word for word, and how many files there are. */
  quote(text: string): Promise<{ readonly files: number; readonly passages: readonly Found[] }>;
  /** Waits until the user has entered where the language model is. */
  connection(signal: AbortSignal): Promise<Connection>;
}

/** Where the language model is, as the user has entered it. */
export interface Connection {
  /** Such as `https://api.openai.com/v1`. */
  readonly address: string;
  readonly model: string;
  /** Empty if none is needed. */
  readonly key: string;
}
