// Which tab works on a conversation: Holdfast holds a Web Lock for it there.
import { database } from "./database.js";

/** A lock that only this tab holds: by it the browser tells its name for this tab. */
const mark = "locks" in navigator ? `holdfast-demo:tab:${crypto.randomUUID()}` : "";
if (mark !== "") void navigator.locks.request(mark, () => new Promise(() => undefined));

/** Whether another tab works on a conversation, or would. */
export async function isHeldElsewhere(conversation: string): Promise<boolean> {
  if (mark === "") return false; // nobody can tell
  const { held = [] } = await navigator.locks.query();
  const holder = (name: string): string | undefined => held.find((lock) => lock.name === name)?.clientId;
  const owner = holder(`holdfast:${database}\0${conversation}`);
  return owner !== undefined && owner !== holder(mark);
}
