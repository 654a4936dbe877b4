// The prompt for a language model.
import type { Message } from "@holdfast-dev/holdfast";
import { answerOf, textOf } from "../message.js";
import type { Passage } from "./search.js";

export type Prompt = readonly { readonly role: "system" | "user" | "assistant"; readonly content: string }[];

const maxTurns = 10;

const system =
  "You are a research assistant in a chat. Answer briefly, in Markdown. Where the user's notes say something about it, " +
  "quote them: the quote on lines that begin with '> ', and on the next line '— ' and the name of the file.";

/** Returns the prompt: what was said before, then the question with the passages found for it. */
export function promptFor(question: string, passages: readonly Passage[], history: readonly Message[]): Prompt {
  const said = history.filter(({ status }) => status === "finished").slice(-maxTurns);
  const notes = passages.map(({ file, heading, text }) => `[${file}${heading === "" ? "" : `, ${heading}`}]\n${text}`).join("\n\n");
  return [
    { role: "system", content: system },
    ...said.flatMap((turn) => [{ role: "user", content: textOf(turn.body) }, { role: "assistant", content: answerOf(turn) }] as const),
    { role: "user", content: notes === "" ? question : `${question}\n\nFrom the user's notes:\n\n${notes}` },
  ];
}
