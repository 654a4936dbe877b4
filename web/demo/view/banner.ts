// What was recovered, until somebody has read it.
import { byId, el, handOn } from "./dom.js";

export class Banner {
  readonly #banner = byId("banner", HTMLElement);
  readonly #text = byId("banner-text", HTMLElement);

  constructor() {
    byId("banner-dismiss", HTMLButtonElement).addEventListener("click", () => this.hide());
  }

  hide(): void {
    handOn(() => (this.#banner.hidden = true));
  }

  show([title = "", ...lines]: readonly string[]): void {
    this.#banner.hidden = false;
    this.#text.replaceChildren(el("strong", {}, title), ...lines.map((line) => el("p", { dir: "auto" }, line)));
  }
}
