// What the storage says of itself, and the button that asks the browser to keep it.
import type { Holdfast } from "@holdfast-dev/holdfast";
import { byId, handOn, setText } from "./dom.js";

export class Storage {
  readonly #kept = byId("kept", HTMLElement);
  readonly #usage = byId("usage", HTMLElement);
  readonly #durability = byId("durability", HTMLElement);
  readonly #keep = byId("keep", HTMLButtonElement);
  readonly #answer = byId("keep-answer", HTMLElement);
  readonly #holdfast: Holdfast;
  #asking = false;
  #wanted = false;

  constructor(holdfast: Holdfast, failed: (error: unknown) => void) {
    this.#holdfast = holdfast;
    this.#keep.addEventListener("click", () => void this.#persist().catch(failed));
  }

  /** Asks anew. Calls that come while it asks are answered together, by asking once more. */
  async update(): Promise<void> {
    this.#wanted = true;
    if (this.#asking) return;
    this.#asking = true;
    try {
      while (this.#wanted) {
        this.#wanted = false;
        await this.#ask();
      }
    } finally {
      this.#asking = false;
    }
  }

  async #ask(): Promise<void> {
    const { persisted, usage, quota, durability } = await this.#holdfast.health();
    setText(this.#kept, persisted === undefined ? "unknown" : persisted ? "yes, promised" : "not promised");
    this.#kept.dataset["kept"] = String(persisted === true);
    setText(this.#usage, usage === undefined ? "unknown" : quota === undefined ? bytes(usage) : `${bytes(usage)} of ${bytes(quota)}`);
    setText(this.#durability, durability);
    handOn(() => (this.#keep.hidden = persisted === true));
  }

  async #persist(): Promise<void> {
    const agreed = await this.#holdfast.persist();
    setText(this.#answer, agreed ? "The browser will keep it." : "The browser does not promise it yet; it does so for sites that are bookmarked, installed or used often.");
    await this.update();
  }
}

function bytes(n: number): string {
  const units = ["bytes", "kB", "MB", "GB", "TB"];
  let value = n;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${value >= 10 || unit === 0 ? Math.round(value) : value.toFixed(1)} ${units[unit] ?? ""}`;
}
