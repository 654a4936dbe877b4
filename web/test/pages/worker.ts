// A dedicated worker that uses Holdfast: for each message it opens, appends to a conversation, closes, and answers.
import { type HoldfastError, open, type OpenOptions } from "@holdfast-dev/holdfast";

export interface Answer {
  readonly events?: number;
  readonly added?: readonly string[];
  readonly failure?: string;
}

const scope = globalThis as unknown as {
  onmessage: (event: MessageEvent<OpenOptions>) => void;
  readonly postMessage: (answer: Answer) => void;
};

async function visit(options: OpenOptions): Promise<Answer> {
  const before = new Set(Reflect.ownKeys(globalThis));
  const holdfast = await open(options);
  const conversation = await holdfast.recover("visits");
  await conversation.receiveMessage({ id: `visit ${conversation.expectedSeq}`, body: { at: new Date() } });
  await holdfast.health();
  await holdfast.close();
  const added = Reflect.ownKeys(globalThis).filter((key) => !before.has(key));
  return { events: conversation.expectedSeq, added: added.map(String) };
}

scope.onmessage = ({ data }) => {
  const answer = visit(data).catch((error: HoldfastError) => ({ failure: `${error.code}: ${error.message}` }));
  void answer.then(scope.postMessage);
};
