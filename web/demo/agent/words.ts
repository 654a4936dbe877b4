// Words, sentences and lists in a text.

const word = /[\p{L}\p{N}]+(?:['’-][\p{L}\p{N}]+)*/gu;

/** Too common in English to say what a text is about. */
const stopWords = new Set(
  (
    "about above after again all also always and another any are because been before being below between both but came can cannot " +
    "can't come comes could did didn't does doesn't doing don't down during each ever every few for from further get gets go goes going gone got had has have " +
    "having her here hers him his how i'd i'll i'm i've into isn't it's its itself just kind know let's like make many may me " +
    "might more most much must my never nobody not nothing now off once one only other our ours out over own per please quite rather really " +
    "same say see shall she should since some still such take takes than that that's the their theirs them then there these they thing " +
    "things this those though through till too took two under until upon use very want was wasn't way went were what what's when where " +
    "which while who whom why will with without won't would you you're your yours yet"
  ).split(" "),
);

const glad = new Set(
  "amazing beautiful best calm enjoy excellent fun glad good great happy joy kind love loved lovely nice perfect pleased proud thank thanks well won wonderful".split(" "),
);
const sad = new Set(
  "afraid alone angry awful bad broken cry fail failed fear hate horrible hurt lonely lose lost pain problem sad sick sorry terrible tired ugly worried worse worst wrong".split(" "),
);

export function wordsIn(text: string): string[] {
  return text.match(word) ?? [];
}

export function sentencesIn(text: string): string[] {
  return text
    .split(/(?<=[.!?…])["”’)]*\s+|\s*\n\s*/u)
    .map((sentence) => sentence.trim())
    .filter((sentence) => /[\p{L}\p{N}]/u.test(sentence));
}

/** The words that a text is about, most frequent first, and how often each occurs. */
export function keyWordsIn(text: string, limit: number): [word: string, times: number][] {
  const counts = new Map<string, number>();
  for (const found of wordsIn(text)) {
    const name = found.toLowerCase().replaceAll("’", "'");
    if (name.length < 3 || !/\p{L}/u.test(name) || stopWords.has(name)) continue;
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  // The sort is stable: of equals the first in the text comes first.
  return [...counts].sort((a, b) => b[1] - a[1]).slice(0, limit);
}

/** The items of a list, one per line or separated by commas; undefined if the text is no list. */
export function listIn(text: string): string[] | undefined {
  const lines = text.split("\n").map((line) => line.trim()).filter((line) => line !== "");
  const marked = lines.filter((line) => /^(?:[-*•–]|\d{1,3}[.)])\s+\S/u.test(line));
  const items = marked.length >= 2 ? marked : separated(lines);
  return items?.map((item) => item.replace(/^(?:[-*•–]|\d{1,3}[.)])\s+/u, "").replace(/[,;.]$/u, "").trim());
}

/** Whether a text has more glad words than sad ones (1), fewer (-1), or neither (0). */
export function moodOf(text: string): -1 | 0 | 1 {
  let balance = 0;
  for (const found of wordsIn(text)) {
    const name = found.toLowerCase();
    if (glad.has(name)) balance += 1;
    if (sad.has(name)) balance -= 1;
  }
  return balance > 0 ? 1 : balance < 0 ? -1 : 0;
}

/** At least three short things, by lines or by commas. */
function separated(lines: readonly string[]): string[] | undefined {
  const short = (item: string): boolean => item.length <= 40 && wordsIn(item).length > 0 && wordsIn(item).length <= 4;
  if (lines.length >= 3 && lines.every((line) => short(line) && !/[.!?]$/u.test(line))) return [...lines];
  const [line] = lines;
  if (line === undefined || lines.length > 1 || /[!?]/u.test(line)) return undefined;
  // "Buy: apples, bread and milk"
  const items = line
    .replace(/^[^:,]{1,40}:\s+/u, "")
    .split(/\s*[,;]\s*(?:and\s+|or\s+)?/iu)
    .filter((item) => item !== "");
  const last = items.pop()?.split(/\s+(?:and|or)\s+/iu) ?? [];
  items.push(...last);
  return items.length >= 3 && items.every(short) ? items : undefined;
}
