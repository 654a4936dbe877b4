// An answer as elements: paragraphs, and quotes with their source.
import { el } from "./dom.js";

/** Lines that begin with "> " are quoted, and "— " before a line behind a quote names where it is from. All else is shown as it is. */
export function answerNodes(text: string): Node[] {
  const nodes: Node[] = [];
  let paragraph: string[] = [];
  let quote: HTMLElement | undefined;
  const close = (): void => {
    if (paragraph.length > 0) nodes.push(el("p", { dir: "auto" }, paragraph.join("\n")));
    paragraph = [];
  };
  for (const line of text.split("\n")) {
    if (line.startsWith("> ")) {
      close();
      if (quote === undefined) nodes.push((quote = el("blockquote", {})));
      quote.append(el("p", { dir: "auto" }, line.slice(2)));
    } else if (quote !== undefined && line.startsWith("— ")) {
      quote.append(el("cite", { dir: "auto" }, line.slice(2)));
      quote = undefined;
    } else {
      quote = undefined;
      if (line.trim() === "") close();
      else paragraph.push(line);
    }
  }
  close();
  return nodes;
}
