import { open } from "@holdfast-dev/holdfast";
import { App } from "./app.js";
import { keepForOffline } from "./offline.js";
import { Errors } from "./view/errors.js";

const errors = new Errors();
keepForOffline();

try {
  await new App(await open({ database: "holdfast-demo" }), errors).start();
  if (!isSecureContext) errors.explain("This page came over HTTP", `Browsers let a page work offline, and promise to keep its data, only if it comes over HTTPS or from this computer. At ${location.origin} everything else works.`);
} catch (error) {
  errors.show(error);
}
