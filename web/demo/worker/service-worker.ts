// Keeps the demo itself: after one visit it starts without a network. What people write is kept by Holdfast.

const scope = globalThis as unknown as ServiceWorkerGlobalScope;

/** Every file of this build, and a hash over all of them; vite.config.ts fills them in. */
declare const __FILES__: readonly string[];
declare const __VERSION__: string;

/** The caches of an origin are those of all its folders, each of which may have a build. An address has no spaces. */
const prefix = `holdfast-demo: ${scope.registration.scope} `;
const current = `${prefix}${__VERSION__}`;

scope.addEventListener("install", (event) => {
  event.waitUntil(keep());
});

scope.addEventListener("activate", (event) => {
  event.waitUntil(forgetOthers());
});

scope.addEventListener("fetch", (event) => {
  const { request } = event;
  if (request.method === "GET" && request.url.startsWith(scope.registration.scope)) event.respondWith(answer(request));
});

/** All files of this build or none: half a build starts as little as no build. */
async function keep(): Promise<void> {
  const cache = await caches.open(current);
  await Promise.all(
    __FILES__.map(async (file) => {
      const address = new URL(file, scope.registration.scope);
      await cache.put(address, await fetched(file, address));
    }),
  );
}

/**
 * Fetches a file. The answer is for every request, so it is made anew: a browser takes no redirected one for a page, and by
 * `Vary` a cache would not find one for a request with other headers, such as that of a module.
 */
async function fetched(file: string, address: URL): Promise<Response> {
  const found = await fetch(address, { cache: "no-cache" });
  const headers = new Headers(found.headers);
  headers.delete("vary");
  const isPage = /(?:\/|\.html)$/.test(file);
  // Servers answer with a page where they have no file, or nobody is logged in.
  if (found.status !== 200 || headers.get("content-type")?.startsWith("text/html") !== isPage) throw new TypeError(`${file} is not to be had: ${found.status}`);
  if (!isPage) return new Response(found.body, { headers });
  const page = await found.text();
  const assets = page.match(/\bassets\/[\w.-]+/g) ?? [];
  // A deployment may come in between, and a page to log in has none of them.
  if (assets.length === 0 || !assets.every((asset) => __FILES__.includes(asset))) throw new TypeError(`${file} is of another build`);
  return new Response(page, { headers });
}

/** A new build takes over when the last page of the old one is closed, so nobody needs the old files any more. */
async function forgetOthers(): Promise<void> {
  const names = await caches.keys();
  await Promise.all(names.filter((name) => name.startsWith(prefix) && name !== current).map((name) => caches.delete(name)));
}

async function answer(request: Request): Promise<Response> {
  return (await kept(request).catch(() => undefined)) ?? (await fetch(request));
}

async function kept(request: Request): Promise<Response | undefined> {
  return (await caches.open(current)).match(request, { ignoreSearch: true });
}
