// Finds the sums in a text and works them out. It reads characters and never runs code.

/** A sum, and what it comes to; not finite if it has no answer. */
export interface Sum {
  /** Written out evenly, such as `12 × (3 + 4)`. */
  readonly shown: string;
  readonly value: number;
}

interface Term extends Sum {
  readonly end: number;
  readonly operators: number;
}

/** A sum nested deeper than this is no sum that a person would write. */
const maxDepth = 40;

const date = /\d{1,4}([-/.])\d{1,2}\1\d{1,4}/y;
const number = /(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?|\.\d+/y;
const blank = /[ \t\u00a0\u202f]*/y;
const symbols: Readonly<Record<string, string>> = {
  "+": "+", "-": "−", "−": "−", "*": "×", "×": "×", "·": "×", x: "×", X: "×", "/": "÷", "÷": "÷", "^": "^",
};

/** The sums of a text in order, at most `limit`. */
export function findSums(text: string, limit: number): Sum[] {
  const found: Sum[] = [];
  let at = 0;
  while (at < text.length && found.length < limit) {
    const skipped = match(date, text, at);
    if (skipped !== "" || !startsSum(text, at)) {
      at += Math.max(skipped.length, 1);
      continue;
    }
    const sum = new Parser(text).addition(at, 0);
    if (sum === undefined) {
      at += 1;
      continue;
    }
    if (sum.operators > 0) found.push({ shown: sum.shown, value: sum.value });
    at = sum.end;
  }
  return found;
}

/** All plain numbers of a text in order, dates left out. */
export function findNumbers(text: string): number[] {
  const found: number[] = [];
  let at = 0;
  while (at < text.length) {
    const skipped = match(date, text, at);
    const digits = skipped === "" && !/[\p{L}\p{N}.]/u.test(text[at - 1] ?? "") ? match(number, text, at) : "";
    if (digits !== "") found.push(valueOf(digits) * (isSign(text, at - 1) ? -1 : 1));
    at += Math.max(skipped.length, digits.length, 1);
  }
  return found;
}

/** A number as people write it: no noise from binary fractions, thousands set apart. */
export function showNumber(value: number): string {
  const rounded = Number(value.toPrecision(12));
  const [digits = "", exponent] = Math.abs(rounded).toString().split("e");
  const [whole = "", fraction] = digits.split(".");
  const grouped = whole.length > 4 ? whole.replace(/\B(?=(\d{3})+$)/g, ",") : whole;
  const sign = rounded < 0 ? "−" : "";
  return `${sign}${grouped}${fraction === undefined ? "" : `.${fraction}`}${exponent === undefined ? "" : ` × 10^${Number(exponent)}`}`;
}

/** Recursive descent. What cannot be read ends the sum before it: in "2 + 3, or" the comma does. */
class Parser {
  readonly #text: string;

  constructor(text: string) {
    this.#text = text;
  }

  addition(at: number, depth: number): Term | undefined {
    return this.#chain(at, depth, ["+", "−"], (from, deeper) => this.#product(from, deeper));
  }

  #product(at: number, depth: number): Term | undefined {
    return this.#chain(at, depth, ["×", "÷"], (from, deeper) => this.#power(from, deeper));
  }

  /** Operators of one rank, from left to right. */
  #chain(at: number, depth: number, ranks: readonly string[], operand: (at: number, depth: number) => Term | undefined): Term | undefined {
    let left = operand(at, depth);
    while (left !== undefined) {
      const operator = this.#operator(left.end);
      if (operator === undefined || !ranks.includes(operator.symbol)) break;
      const right = operand(this.#skip(operator.end), depth);
      if (right === undefined) break;
      left = join(left, operator.symbol, right);
    }
    return left;
  }

  /** From right to left, and stronger than the sign before it. */
  #power(at: number, depth: number): Term | undefined {
    const base = this.#postfix(at, depth);
    if (base === undefined || depth > maxDepth) return base;
    const operator = this.#operator(base.end);
    if (operator?.symbol !== "^") return base;
    const exponent = this.#power(this.#skip(operator.end), depth + 1);
    return exponent === undefined ? base : join(base, "^", exponent);
  }

  #postfix(at: number, depth: number): Term | undefined {
    const term = this.#atom(at, depth);
    if (term === undefined) return undefined;
    const mark = this.#text[term.end];
    if (mark === "²" || mark === "³") {
      return { shown: term.shown + mark, value: term.value ** (mark === "²" ? 2 : 3), end: term.end + 1, operators: term.operators + 1 };
    }
    if (mark === "%") return { ...term, shown: `${term.shown}%`, value: term.value / 100, end: term.end + 1 };
    return term;
  }

  #atom(at: number, depth: number): Term | undefined {
    if (depth > maxDepth) return undefined;
    const character = this.#text[at] ?? "";
    if (character === "(") {
      const inner = this.addition(this.#skip(at + 1), depth + 1);
      if (inner === undefined) return undefined;
      const end = this.#skip(inner.end);
      return this.#text[end] === ")" ? { ...inner, shown: `(${inner.shown})`, end: end + 1 } : undefined;
    }
    if (character === "-" || character === "−") {
      const negated = this.#power(at + 1, depth + 1);
      return negated === undefined ? undefined : { ...negated, shown: `−${negated.shown}`, value: -negated.value };
    }
    const digits = match(number, this.#text, at);
    return digits === "" ? undefined : { shown: digits, value: valueOf(digits), end: at + digits.length, operators: 0 };
  }

  #operator(at: number): { readonly symbol: string; readonly end: number } | undefined {
    const from = this.#skip(at);
    // "15% of 80" is how people say it.
    if (this.#text[at - 1] === "%" && /^of\b/i.test(this.#text.slice(from, from + 3))) return { symbol: "×", end: from + 2 };
    const symbol = symbols[this.#text[from] ?? ""];
    if (symbol === undefined) return undefined;
    const power = symbol === "×" && this.#text.startsWith("**", from);
    return power ? { symbol: "^", end: from + 2 } : { symbol, end: from + 1 };
  }

  #skip(at: number): number {
    return at + match(blank, this.#text, at).length;
  }
}

function join(left: Term, symbol: string, right: Term): Term {
  return {
    shown: symbol === "^" ? `${left.shown}^${right.shown}` : `${left.shown} ${symbol} ${right.shown}`,
    value: apply(left.value, symbol, right.value),
    end: right.end,
    operators: left.operators + right.operators + 1,
  };
}

function apply(left: number, symbol: string, right: number): number {
  switch (symbol) {
    case "+":
      return left + right;
    case "−":
      return left - right;
    case "×":
      return left * right;
    case "÷":
      return left / right;
    default:
      return left ** right;
  }
}

function startsSum(text: string, at: number): boolean {
  if (/[\p{L}\p{N}.,]/u.test(text[at - 1] ?? "")) return false;
  return /[\d.(]/.test(text[at] ?? "") || isSign(text, at);
}

/** Whether a minus belongs to the number behind it: the dash of a list has a space there. */
function isSign(text: string, at: number): boolean {
  return /[-−]/.test(text[at] ?? "") && /[\d.(]/.test(text[at + 1] ?? "") && !/[\p{L}\p{N})]/u.test(text[at - 1] ?? "");
}

function valueOf(digits: string): number {
  return Number(digits.replaceAll(",", ""));
}

function match(pattern: RegExp, text: string, at: number): string {
  pattern.lastIndex = at;
  return pattern.exec(text)?.[0] ?? "";
}
