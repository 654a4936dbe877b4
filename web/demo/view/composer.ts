// Where one types.
import { byId, typing, wellFormed } from "./dom.js";

export class Composer {
  readonly #form = byId("composer", HTMLFormElement);
  readonly #text = byId("text", HTMLTextAreaElement);
  readonly #send = byId("send", HTMLButtonElement);
  readonly #changed = typing(this.#text, this.#send);
  readonly #submit: (text: string) => Promise<void>;

  /** `submit` resolves once the message is stored; if it rejects, the text is here again, before what was typed meanwhile. */
  constructor(submit: (text: string) => Promise<void>) {
    this.#submit = submit;
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.#take();
    });
    for (const example of document.querySelectorAll<HTMLElement>("[data-example]")) {
      example.addEventListener("click", () => this.fill(example.dataset["example"] ?? ""));
    }
  }

  /** Opens the composer, once there is a conversation to send to. */
  enable(): void {
    this.#text.disabled = false;
    this.focus();
    this.#changed();
  }

  focus(): void {
    this.#text.focus();
  }

  fill(text: string): void {
    this.#text.value = text;
    this.#changed();
    this.#text.focus();
  }

  async #take(): Promise<void> {
    const text = this.#text.value;
    if (text.trim() === "" || this.#text.disabled) return;
    this.fill("");
    try {
      await this.#submit(wellFormed(text));
    } catch {
      // Told to the user by the one who submits.
      this.fill([text, this.#text.value].filter((part) => part !== "").join("\n\n"));
    }
  }
}
