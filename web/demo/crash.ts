/**
 * Throws the page away in the middle of what it does. A page cannot kill its own process, so this is the nearest
 * it can do: every timer is dropped, so that no step comes to its end, and the document is replaced without a
 * place in the history to come back to. Nothing is written, closed or released on the way out.
 */
export function crash(): void {
  for (let timer = setTimeout(() => undefined); timer > 0; timer--) clearTimeout(timer);
  location.replace("./crashed.html");
}
