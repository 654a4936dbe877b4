// Finds passages in the user's files.
import MiniSearch from "minisearch";

/** Part of a file, short enough to be read at once. */
export interface Passage {
  readonly file: string;
  /** The heading that it stands under; empty if there is none. */
  readonly heading: string;
  readonly text: string;
}

/** A passage that fits a query. */
export interface Found extends Passage {
  /** The words that it was found by, as they are indexed. */
  readonly words: readonly string[];
  /** How well it fits, next to the best one, which has 1. */
  readonly fit: number;
}

export interface Document {
  readonly name: string;
  readonly text: string;
}

const maxFound = 8;
const maxPassage = 1200;
/** More words of a query are not looked for: each is compared with all that are indexed. */
const maxWords = 50;

/** Too common in English to look for. */
const stopWords = new Set(
  (
    "a about all also an and any are as at be been but by can could did do does for from had has have how i if in into is it its " +
    "know like me more most my no not of on one or our please say see should so some tell than that the their them then there " +
    "these they this those to up was we were what when where which while who whom whose why will with would you your"
  ).split(" "),
);

/** The words of a text that are worth looking for, each once, in lower case. */
export function wordsOf(text: string): string[] {
  const words = Array.from(new Intl.Segmenter("en", { granularity: "word" }).segment(text))
    .filter(({ isWordLike }) => isWordLike)
    .map(({ segment }) => segment.toLowerCase());
  return [...new Set(words)].filter((word) => !stopWords.has(word));
}

/** The words of a question that are looked for. */
export function queryOf(text: string): string[] {
  return wordsOf(text).slice(0, maxWords);
}

export function sentencesOf(text: string): string[] {
  return Array.from(new Intl.Segmenter("en", { granularity: "sentence" }).segment(text), ({ segment }) => segment.trim());
}

/** The passages that fit a query best, the best first. */
export function search(documents: readonly Document[], query: string): Found[] {
  const words = queryOf(query);
  if (words.length === 0) return [];
  const passages = documents.flatMap(passagesOf);
  const index = new MiniSearch<Passage & { readonly id: number }>({ fields: ["heading", "text", "file"], processTerm });
  index.addAll(passages.map((passage, id) => ({ ...passage, id })));
  const results = index.search(words.join(" "), {
    prefix: (term) => term.length > 3,
    fuzzy: (term) => (term.length > 5 ? 0.2 : false),
    boost: { heading: 1.5, file: 0.5 },
  });
  const best = results[0]?.score ?? 1;
  return results.slice(0, maxFound).flatMap(({ id, match, score }) => {
    const passage = passages[id as number];
    return passage === undefined ? [] : [{ ...passage, words: Object.keys(match), fit: score / best }];
  });
}

/** The passages that have a text word for word, but for its case and the marks at its end. */
export function quote(documents: readonly Document[], text: string): Found[] {
  const wanted = withoutEnd(text, /[\s\p{P}]/u).replace(/\s+/gu, " ").trim().toLowerCase();
  if (wanted === "") return [];
  const words = queryOf(wanted).map(processTerm);
  const passages = documents.flatMap(passagesOf).filter((passage) => passage.text.toLowerCase().includes(wanted));
  return passages.slice(0, maxFound).map((passage) => ({ ...passage, words, fit: 1 }));
}

/** How words are indexed: a plural is found by its singular, and the other way round. */
function processTerm(term: string): string {
  return term.toLowerCase().replace(/(?<=\p{L}{3})s$/u, "");
}

/** Which of the words that a passage was found by a sentence of it has. */
export function mentions(sentence: string, words: readonly string[]): string[] {
  const own = new Set(wordsOf(sentence).map(processTerm));
  return words.filter((word) => own.has(word));
}

/** Whether an indexed word is a form of a word that was asked for. */
export function isForm(asked: string, indexed: string): boolean {
  return indexed.startsWith(processTerm(asked));
}

/** Cuts a file where Markdown does: at headings and empty lines. */
export function passagesOf({ name, text }: Document): Passage[] {
  const passages: Passage[] = [];
  let heading = "";
  let lines: string[] = [];
  const close = (): void => {
    const plain = lines.join(" ").replace(/\s+/gu, " ").trim();
    for (let from = 0; from < plain.length; from += maxPassage) {
      passages.push({ file: name, heading, text: plain.slice(from, from + maxPassage) });
    }
    lines = [];
  };
  // Line by line: a pattern over all of the text could look at the same blanks again and again.
  for (const line of text.split(/\r\n|[\n\r\u2028\u2029]/u)) {
    const trimmed = line.trim();
    const [, title] = /^#{1,6}\s+(.*)$/u.exec(trimmed) ?? [];
    if (title !== undefined || trimmed === "") close();
    if (title !== undefined) heading = titleOf(title);
    else lines.push(trimmed.replace(/^(?:[-*+>]|\d+[.)])\s+/u, ""));
  }
  close();
  return passages;
}

/** A title without the marks that may close it, before which there is a blank. */
function titleOf(title: string): string {
  const bare = withoutEnd(title, /#/u);
  return bare.trimEnd() === bare ? title : bare.trimEnd();
}

/** Cuts characters of a kind off the end. A pattern that ends with `$` would begin at each of them anew. */
function withoutEnd(text: string, kind: RegExp): string {
  let end = text.length;
  while (end > 0 && kind.test(text.charAt(end - 1))) end--;
  return text.slice(0, end);
}
