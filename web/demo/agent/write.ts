// From facts to an answer.
import type { Storable } from "@holdfast-dev/holdfast";
import type { Kind } from "./compute.js";
import { numberFrom, textFrom, textsFrom } from "./stored.js";

export function draft(reading: unknown, keyWords: unknown, detected: unknown, computed: unknown): Storable {
  const about = textsFrom(keyWords, "words").slice(0, 3);
  const facts = textsFrom(computed, "facts");
  const kind = textFrom(detected, "kind") as Kind;
  const size = { words: numberFrom(reading, "words"), sentences: numberFrom(reading, "sentences"), longest: textFrom(reading, "longest") };
  const parts = write(kind, facts, about, size);
  const mood = numberFrom(detected, "mood");
  if (mood > 0) parts.push("You sound glad, and that is good to hear");
  if (mood < 0) parts.push("It sounds heavy; I hope it gets lighter soon");
  return { line: `${parts.length} ${parts.length === 1 ? "thought" : "thoughts"}`, parts };
}

/** Ends each thought properly, and puts the thoughts together. */
export function polish(drafted: unknown): string {
  const parts = textsFrom(drafted, "parts").map((part) => {
    const start = part.charAt(0).toUpperCase() + part.slice(1);
    return /(?:[.!?…:]”?|\n)$/u.test(start) ? start : `${start}.`;
  });
  return parts.join(" ").replaceAll("\n ", "\n");
}

interface Size {
  readonly words: number;
  readonly sentences: number;
  readonly longest: string;
}

function write(kind: Kind, facts: readonly string[], about: readonly string[], size: Size): string[] {
  const topic = about.length === 0 ? "" : ` about ${listed(about)}`;
  const [first = "", second = "", third] = facts;
  switch (kind) {
    case "sums":
      return facts.length === 1
        ? [`${first}.\n`, "worked out here in this page, without asking anybody"]
        : [`${facts.length} sums, worked out one by one:\n`, `${facts.join("\n")}\n`, "they were a pleasure"];
    case "numbers":
      return [first, second, `they go ${third ?? ""}`];
    case "list":
      return [`a list of ${first}`, second, ...(third === undefined ? [] : [third]), "nothing on it will be forgotten: it is in the log"];
    case "greeting":
      return ["hello!", "I am a small agent with six steps and no network", "Give me a sum, a list, or a few sentences, and crash the page while I think"];
    case "question":
      return [
        `a fair question${topic}`,
        "I have no network and no books, so the answer is yours to find",
        `what I can promise is that your ${size.words} words are safe here, even if this page is not`,
      ];
    case "text": {
      const measured = `${size.words} words in ${size.sentences === 1 ? "one sentence" : `${size.sentences} sentences`}${topic}`;
      const parts = second === "" ? [measured, first] : [`in short: ${first}`, measured, second];
      if (size.longest.length > 9) parts.push(`the longest word is “${size.longest}”`);
      return parts;
    }
    case "nothing":
      return ["no words in it that I know, and still it is kept, every character of it"];
  }
}

function listed(words: readonly string[]): string {
  const quoted = words.map((word) => `“${word}”`);
  return quoted.length < 2 ? quoted.join("") : `${quoted.slice(0, -1).join(", ")} and ${quoted.at(-1) ?? ""}`;
}
