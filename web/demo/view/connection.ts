// Who answers, and the dialog that asks where the model is.
import { type AgentName, agents } from "../agent/agents.js";
import { problemWith } from "../agent/endpoint.js";
import { hasBuiltin, mayHaveBuiltin } from "../agent/builtin.js";
import type { Settings } from "../settings.js";
import { byId, el, handOn } from "./dom.js";
import type { Errors } from "./errors.js";

export class ConnectionView {
  readonly #settings: Settings;
  readonly #errors: Errors;
  readonly #agent = byId("agent", HTMLSelectElement);
  readonly #connect = byId("connect", HTMLButtonElement);
  readonly #dialog = byId("connection", HTMLDialogElement);
  readonly #wanted = byId("wanted", HTMLElement);

  constructor(settings: Settings, errors: Errors) {
    this.#settings = settings;
    this.#errors = errors;
    this.#agent.addEventListener("change", () => void this.#choose(this.agent));
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

  /** Offers the agents that this browser may have. */
  offer(): void {
    const offered: AgentName[] = ["research", "endpoint", ...(mayHaveBuiltin() ? (["builtin"] as const) : [])];
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

  /** Only now the browser is asked for its model: where it has none, it complains on the console. */
  async #choose(agent: AgentName): Promise<void> {
    if (agent === "builtin" && !(await hasBuiltin())) {
      for (const option of this.#agent.options) if (option.value === agent) option.remove();
      this.#agent.value = this.#settings.agent;
      this.#errors.explain("This browser has no model for this page", "It has the interface for one, and says that none is available on this computer.");
      return;
    }
    this.#settings.agent = agent;
    this.show();
    if (agent === "endpoint" && this.#settings.current === undefined) this.#ask();
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
