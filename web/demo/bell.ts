/** Tells the other tabs that there is a new conversation or file, or one less. What is in them Holdfast tells by itself. */
export class Bell {
  readonly #channel = new BroadcastChannel("holdfast-demo:list");

  ring(): void {
    this.#channel.postMessage(undefined);
  }

  /** `heard` is called when another tab has rung, and when this one may have missed it. */
  listen(heard: () => void): void {
    this.#channel.addEventListener("message", heard);
    addEventListener("pageshow", ({ persisted }) => persisted && heard());
    document.addEventListener("resume", heard);
  }
}
