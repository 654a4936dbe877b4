// The web server of the tests: the built package, pages to import it from, and the ways a server can be wrong.
import { readFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type Server as HttpServer, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";

const web = fileURLToPath(new URL("../..", import.meta.url));

/** The package. `make bugs` gives the tests another one. */
export const dist: string = process.env["HOLDFAST_DIST"] ?? join(web, "dist");

/** Where the bundled entries of test/pages are. */
export const bundles: string = join(dist, "..", "..", ".build", "pages");

const types: Record<string, string> = {
  ".css": "text/css",
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript",
  ".json": "application/json",
  ".mjs": "text/javascript",
  ".svg": "image/svg+xml",
  ".wasm": "application/wasm",
  ".webmanifest": "application/manifest+json",
};

const importMap = (imports: Readonly<Record<string, string>>): string => `<script type="importmap">${JSON.stringify({ imports })}</script>`;

// Favicons would be requests that no test has asked for.
const head = `<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,">`;

const pages: Record<string, string> = {
  /** Can import the package by name. It is bundled: 45 modules would take a third of the time of a short test. */
  "/": head + importMap({ "@holdfast-dev/holdfast": "/bundle/package.js" }),
  /** The same with the files as they are published. */
  "/unbundled": head + importMap({ "@holdfast-dev/holdfast": "/dist/index.js", "@msgpack/msgpack": "/msgpack/index.mjs" }),
  /** Has no inline script, for a strict policy: import `/bundle/<name>.js` for test/pages/<name>.ts. */
  "/plain": head,
};

/** The policy that Holdfast needs at most. */
export const strictPolicy = { "content-security-policy": "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'" } as const;

/** What a path answers otherwise. */
export interface Answer {
  readonly status?: number;
  /** Added to the headers, or in place of them: `content-type` for a wrong type. */
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
}

export class Server {
  /** Such as `http://127.0.0.1:40001`. */
  readonly origin: string;
  /** Paths that were asked for, in order. */
  readonly requests: string[] = [];
  /** What all answers have in addition. */
  headers: Readonly<Record<string, string>> = {};
  readonly #http: HttpServer;
  readonly #folders: ReadonlyMap<string, string>;
  readonly #answers = new Map<string, Answer>();
  readonly #sockets = new Set<Socket>();
  #cut = false;

  private constructor(http: HttpServer, folders: ReadonlyMap<string, string>) {
    this.#http = http;
    this.#folders = folders;
    this.origin = `http://127.0.0.1:${(http.address() as AddressInfo).port}`;
    http.on("connection", (socket: Socket) => {
      this.#sockets.add(socket);
      socket.on("close", () => this.#sockets.delete(socket));
      if (this.#cut) socket.destroy();
    });
    http.on("request", (request, response) => void this.#serve(request, response));
  }

  /** Ports that were in use: the browser keeps what was stored there, and the system gives a port again. */
  static readonly #used = new Set<number>();

  /** Starts on a port that is free and was never used, so each server is an origin of its own. `folders` are served in addition: prefix -> folder. */
  static async start(folders: Readonly<Record<string, string>> = {}): Promise<Server> {
    const http = createServer();
    await new Promise<void>((resolve, reject) => {
      http.once("error", reject).listen(0, "127.0.0.1", resolve);
    });
    const { port } = http.address() as AddressInfo;
    if (Server.#used.has(port)) {
      const server = await Server.start(folders); // while this port is taken
      http.close();
      return server;
    }
    Server.#used.add(port);
    return new Server(
      http,
      new Map(
        Object.entries({
          "/dist/": dist,
          "/msgpack/": join(web, "node_modules/@msgpack/msgpack/dist.esm"),
          "/bundle/": bundles,
          ...folders,
        }),
      ),
    );
  }

  /** Makes `path` answer differently; without an answer, as before. */
  answer(path: string, answer?: Answer): void {
    if (answer === undefined) this.#answers.delete(path);
    else this.#answers.set(path, answer);
  }

  /** Cuts the network: open connections end, new ones too, until `restore`. */
  cut(): void {
    this.#cut = true;
    for (const socket of this.#sockets) socket.destroy();
  }

  restore(): void {
    this.#cut = false;
  }

  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#http.close(() => resolve()));
    this.cut();
    await closed;
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = normalize(decodeURIComponent(new URL(request.url ?? "/", this.origin).pathname));
    this.requests.push(path);
    const answer = this.#answers.get(path) ?? {};
    const body = answer.body ?? (await this.#read(path));
    const status = answer.status ?? (body === undefined ? 404 : 200);
    response.writeHead(status, {
      "content-type": types[extname(path) || ".html"] ?? "application/octet-stream",
      "cache-control": "no-store",
      ...this.headers,
      ...answer.headers,
    });
    response.end(status === 404 ? "not found" : body);
  }

  async #read(path: string): Promise<string | Uint8Array | undefined> {
    const page = pages[path];
    if (page !== undefined) return page;
    // The longest one: a folder may be in another.
    for (const [prefix, folder] of [...this.#folders].sort(([a], [b]) => b.length - a.length)) {
      if (!path.startsWith(prefix)) continue;
      const file = path.slice(prefix.length) || "index.html";
      return await readFile(join(folder, file)).catch(() => undefined);
    }
    return undefined;
  }
}
