// A worker of any kind that uses Holdfast: for each message it opens, appends to a conversation, runs a handler, closes, and
// answers.
import { type HoldfastError, open, type OpenOptions } from "@holdfast-dev/holdfast";

export interface Answer {
  readonly events?: number;
  /** The result of the handler. */
  readonly result?: unknown;
  readonly added?: readonly string[];
  readonly failure?: string;
}

interface Port {
  onmessage?: ((event: MessageEvent<OpenOptions>) => void) | null;
  postMessage(answer: Answer): void;
}

const scope = globalThis as unknown as Port & { onconnect: (event: MessageEvent) => void };

async function visit(options: OpenOptions): Promise<Answer> {
  const before = new Set(Reflect.ownKeys(globalThis));
  const holdfast = await open(options);
  const conversation = await holdfast.recover("visits");
  await conversation.receiveMessage({ id: `visit ${conversation.expectedSeq}`, body: { at: new Date() } });
  const agent = await holdfast.recover("agent");
  const id = await agent.send({ body: 42 });
  const result = await new Promise((resolve) => {
    agent.subscribe(() => {
      const message = agent.state.message(id);
      if (message?.status === "finished") resolve(message.result);
    });
    agent.process(({ message, step }) => step("echo", () => message.body));
  });
  await holdfast.health();
  await holdfast.close();
  const added = Reflect.ownKeys(globalThis).filter((key) => !before.has(key));
  return { events: conversation.expectedSeq, result, added: added.map(String) };
}

function answerTo(port: Port, options: OpenOptions): void {
  const answer = visit(options).catch((error: HoldfastError) => ({ failure: `${error.code}: ${error.message}` }));
  void answer.then((answered) => port.postMessage(answered));
}

// A service worker is asked through a port.
scope.onmessage = ({ data, ports: [port] }) => answerTo(port ?? scope, data);
// A shared worker is connected to.
scope.onconnect = ({ ports: [port] }) => {
  if (port !== undefined) port.onmessage = ({ data }: MessageEvent<OpenOptions>) => answerTo(port, data);
};
