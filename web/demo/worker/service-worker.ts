// Keeps the demo itself: after one visit it starts without a network. What people write is kept by Holdfast.

const scope = globalThis as unknown as ServiceWorkerGlobalScope;

/** Every file of this build, and a hash over all of them; vite.config.ts fills them in. */
declare const __FILES__: readonly string[];
declare const __VERSION__: string;

const prefix = "holdfast-demo:";
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

/** All files or none: half a build starts as little as no build. */
async function keep(): Promise<void> {
  const cache = await caches.open(current);
  await cache.addAll(__FILES__.map((file) => new Request(new URL(file, scope.registration.scope), { cache: "no-cache" })));
}

/** A new build takes over when the last page of the old one is closed, so nobody needs the old files any more. */
async function forgetOthers(): Promise<void> {
  const names = await caches.keys();
  await Promise.all(names.filter((name) => name.startsWith(prefix) && name !== current).map((name) => caches.delete(name)));
}

async function answer(request: Request): Promise<Response> {
  const cache = await caches.open(current);
  return (await cache.match(request, { ignoreSearch: true })) ?? (await fetch(request));
}
