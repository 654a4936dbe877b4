/** The one script address that the page's policy lets through beside its own scripts. */
interface ScriptPolicies {
  createPolicy(name: string, rules: { createScriptURL: (url: string) => string }): { createScriptURL(url: string): string };
}

/** Lets the browser keep this page, so that it starts without a network from the next visit on. */
export function keepForOffline(): void {
  // The development server has no build to keep.
  if (!import.meta.env.PROD || !("serviceWorker" in navigator)) return;
  const address = "./service-worker.js";
  // Firefox and Safari got Trusted Types late.
  const policies = (globalThis as { readonly trustedTypes?: ScriptPolicies }).trustedTypes;
  const trusted = policies?.createPolicy("offline", { createScriptURL: () => address }).createScriptURL(address) ?? address;
  // Without it the page works as before, only not without a network.
  navigator.serviceWorker.register(trusted).catch((error: unknown) => console.warn("not kept for offline use:", error));
}
