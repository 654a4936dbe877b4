// The user's files: the list, and the ways to add to it.
import { FileRefused, type Library } from "../library.js";
import { samples } from "../samples.js";
import { button, byId, el, handOn, setText } from "./dom.js";
import { List } from "./list.js";

export class Files {
  readonly #library: Library;
  readonly #failed: (error: unknown) => void;
  readonly #confirm: (name: string) => Promise<boolean>;
  readonly #list: List<{ readonly item: HTMLLIElement }>;
  readonly #samples = byId("samples", HTMLButtonElement);
  readonly #said = byId("files-said", HTMLElement);

  /** `confirm` asks whether to delete a file. */
  constructor(library: Library, confirm: (name: string) => Promise<boolean>, failed: (error: unknown) => void) {
    this.#library = library;
    this.#confirm = confirm;
    this.#failed = failed;
    const chooser = byId("file-chooser", HTMLInputElement);
    const add = byId("add-files", HTMLButtonElement);
    add.addEventListener("click", () => chooser.click());
    this.#list = new List(byId("files", HTMLOListElement), add, (name) => {
      const remove = button("×", "dismiss", () => void this.#remove(name).catch(failed));
      remove.setAttribute("aria-label", `Delete the file “${name}”`);
      return { item: el("li", {}, el("bdi", { class: "file", dir: "auto" }, name), remove) };
    });
    chooser.addEventListener("change", () => {
      void this.#add([...(chooser.files ?? [])]);
      chooser.value = ""; // so that the same file can be chosen again
    });
    this.#samples.addEventListener("click", () => void this.#addSamples().catch(failed));
    this.#acceptDrops();
  }

  /** At the first visit the samples are there. */
  async start(isFirst: boolean): Promise<void> {
    if (isFirst && (await this.#library.names()).length === 0) await this.#addSamples();
    else await this.show();
  }

  async show(): Promise<void> {
    const names = await this.#library.names();
    handOn(() => (this.#samples.hidden = names.length > 0));
    this.#list.show(names);
  }

  async #add(files: readonly File[]): Promise<void> {
    const refused: string[] = [];
    let added = 0;
    for (const file of files) {
      try {
        await this.#library.add(file);
        added++;
      } catch (error) {
        if (error instanceof FileRefused) refused.push(error.message);
        else this.#failed(error);
      }
    }
    setText(this.#said, refused.length > 0 ? refused.join(" ") : `${added} stored.`);
    await this.show().catch(this.#failed);
  }

  async #addSamples(): Promise<void> {
    for (const [name, text] of Object.entries(samples)) await this.#library.put(name, text);
    await this.show();
  }

  async #remove(name: string): Promise<void> {
    if (!(await this.#confirm(name))) return;
    await this.#library.remove(name);
    setText(this.#said, "");
    await this.show();
  }

  /** Files can be dropped anywhere. What is no file, such as a selected text, is left to the browser. */
  #acceptDrops(): void {
    const hasFiles = (event: DragEvent): boolean => event.dataTransfer?.types.includes("Files") ?? false;
    addEventListener("dragover", (event) => {
      if (!hasFiles(event)) return;
      event.preventDefault();
      document.body.classList.add("dropping");
    });
    addEventListener("dragleave", (event) => {
      if (event.relatedTarget === null) document.body.classList.remove("dropping"); // out of the window
    });
    addEventListener("drop", (event) => {
      document.body.classList.remove("dropping");
      if (!hasFiles(event)) return;
      event.preventDefault();
      void this.#add([...(event.dataTransfer?.files ?? [])]);
    });
  }
}
