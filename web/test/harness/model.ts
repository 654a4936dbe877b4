// A language model with an OpenAI-compatible endpoint, and a search, each of whose answers the test gives. Everything else
// that is asked of it comes from another server, as behind a proxy.
import { createServer, type IncomingMessage, type Server as HttpServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** How long a test waits for a request. */
const deadline = 30_000;

/** A request that waits for its answer. */
export class Call {
  readonly path: string;
  /** Its idempotency key; undefined if it came without. */
  readonly key: string | undefined;
  readonly authorization: string | undefined;
  readonly body: {
    readonly model?: string;
    readonly stream?: boolean;
    readonly messages?: readonly { readonly content: string }[];
    readonly query?: string;
  };
  /** Resolves when the client is gone, or the answer has ended. */
  readonly gone: Promise<void>;
  readonly #response: ServerResponse;

  constructor(request: IncomingMessage, response: ServerResponse, body: string) {
    this.path = request.url ?? "";
    this.key = request.headers["idempotency-key"] as string | undefined;
    this.authorization = request.headers.authorization;
    this.body = JSON.parse(body) as Call["body"];
    this.#response = response;
    this.gone = new Promise((resolve) => response.once("close", resolve));
  }

  /** Answers with a text: of the model, or of the search. */
  say(content: string): void {
    if (this.path === "/search") this.#response.end(content);
    else this.#response.end(JSON.stringify({ choices: [{ message: { role: "assistant", content } }] }));
  }

  /** Streams some tokens. The first ones begin the stream. */
  stream(...tokens: string[]): void {
    if (!this.#response.headersSent) this.#response.writeHead(200, { "content-type": "text/event-stream" });
    for (const content of tokens) this.#response.write(`data: ${JSON.stringify({ choices: [{ index: 0, delta: { content } }] })}\n\n`);
  }

  /** Ends the stream as the protocol has it; for a reason, if one is given. */
  done(reason?: string): void {
    this.end(reason, "data: [DONE]\n\n");
  }

  /** Ends the stream with what comes last, or nothing, as some services do. */
  end(reason?: string, last = ""): void {
    if (reason !== undefined) this.finish(reason);
    this.#response.end(last);
  }

  /** Says why there are no more tokens, and keeps the stream open. */
  finish(reason: string): void {
    this.#response.write(`data: ${JSON.stringify({ choices: [{ index: 0, delta: {}, finish_reason: reason }] })}\n\n`);
  }

  /** Ends the stream too early. */
  breakOff(): void {
    this.#response.end();
  }

  fail(status: number): void {
    this.#response.writeHead(status).end();
  }
}

export class Model {
  readonly origin: string;
  /** How often each idempotency key was seen; requests without one count as their path. */
  readonly counts: Record<string, number> = {};
  readonly #http: HttpServer;
  readonly #arrived: Call[] = [];
  readonly #awaited: ((call: Call) => void)[] = [];

  private constructor(http: HttpServer, behind: string) {
    this.#http = http;
    this.origin = `http://127.0.0.1:${(http.address() as AddressInfo).port}`;
    http.on("request", (request, response) => {
      // Pages of other origins may ask, as of the services that this stands for.
      response.setHeader("access-control-allow-origin", "*");
      response.setHeader("access-control-allow-headers", "authorization, content-type");
      if (request.method === "OPTIONS") response.end();
      else void (request.method === "POST" ? this.#take(request, response) : pass(behind, request, response));
    });
  }

  /** Starts on a free port, in front of the server with the origin `behind`. */
  static async start(behind: string): Promise<Model> {
    const http = createServer();
    await new Promise<void>((resolve, reject) => {
      http.once("error", reject).listen(0, "127.0.0.1", resolve);
    });
    return new Model(http, behind);
  }

  /** The next request, in the order of their arrival; waits for it, so many milliseconds at most. */
  async next(within: number = deadline): Promise<Call> {
    const arrived = this.#arrived.shift();
    if (arrived !== undefined) return arrived;
    return await new Promise<Call>((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`the model was asked nothing in ${within} ms`)), within);
      this.#awaited.push((call) => {
        clearTimeout(timer);
        resolve(call);
      });
    });
  }

  /** How many requests nobody has fetched with `next`. */
  get waiting(): number {
    return this.#arrived.length;
  }

  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#http.close(() => resolve()));
    this.#http.closeAllConnections();
    await closed;
  }

  async #take(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let body = "";
    for await (const part of request.setEncoding("utf8")) body += String(part);
    const call = new Call(request, response, body);
    const name = call.key ?? call.path;
    this.counts[name] = (this.counts[name] ?? 0) + 1;
    const awaited = this.#awaited.shift();
    if (awaited === undefined) this.#arrived.push(call);
    else awaited(call);
  }
}

async function pass(behind: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const answer = await fetch(new URL(request.url ?? "/", behind));
  response.writeHead(answer.status, { "content-type": answer.headers.get("content-type") ?? "", "cache-control": "no-store" });
  response.end(Buffer.from(await answer.arrayBuffer()));
}
