// Who answers, and the dialog that asks where the model is.
import { type AgentName, agents } from "../agent/agents.js";
import { problemWith } from "../agent/endpoint.js";
import { hasBuiltin } from "../agent/builtin.js";
import type { Settings } from "../settings.js";
import { byId, el, handOn } from "./dom.js";

export class ConnectionView {
  readonly #settings: Settings;
  readonly #agent = byId("agent", HTMLSelectElement);
  readonly #connect = byId("connect", HTMLButtonElement);
  readonly #dialog = byId("connection", HTMLDialogElement);
  readonly #wanted = byId("wanted", HTMLElement);

  constructor(settings: Settings) {
    this.#settings = settings;
    this.#agent.addEventListener("change", () => {
      settings.agent = this.#agent.value as AgentName;
      this.show();
      if (settings.agent === "endpoint" && settings.current === undefined) this.#ask();
    });
    this.#connect.addEventListener("click", () => this.#ask());
    byId("wanted-connect", HTMLButtonElement).addEventListener("click", () => this.#ask());
    byId("connection-cancel", HTMLButtonElement).addEventListener("click", () => this.#dialog.close());
    const address = byId("connection-address", HTMLInputElement);
    const check = (): void => address.setCustomValidity(address.value === "" ? "" : (problemWith(address.value.trim()) ?? ""));
    address.addEventListener("input", check);
    byId("connection-form", HTMLFormElement).addEventListener("submit", () => {
      const text = (id: string): string => byId(id, HTMLInputElement).value.toWellFormed().trim();
      const kept = byId("connection-keep", HTMLInputElement).checked;
      settings.set({ address: text("connection-address"), model: text("connection-model"), key: text("connection-key") }, kept);
    });
  }

  /** Offers the agents that this browser can have. */
  async offer(): Promise<void> {
    const offered: AgentName[] = ["research", "endpoint", ...((await hasBuiltin()) ? (["builtin"] as const) : [])];
    this.#agent.replaceChildren(...offered.map((name) => el("option", { value: name }, agents[name].label)));
    const { agent } = this.#settings;
    this.#agent.value = offered.includes(agent) ? agent : "research";
    this.#agent.disabled = false;
    this.show();
  }

  /** Who is to answer what is sent now. */
  get agent(): AgentName {
    return this.#agent.value as AgentName;
  }

  show(): void {
    handOn(() => {
      this.#connect.hidden = this.#agent.value !== "endpoint";
      this.#wanted.hidden = !this.#settings.wanted;
    });
  }

  #ask(): void {
    const { current, kept } = this.#settings;
    byId("connection-address", HTMLInputElement).value = current?.address ?? "";
    byId("connection-model", HTMLInputElement).value = current?.model ?? "";
    byId("connection-key", HTMLInputElement).value = current?.key ?? "";
    byId("connection-keep", HTMLInputElement).checked = kept;
    this.#dialog.showModal();
  }
}
