import { open } from "@holdfast-dev/holdfast";
import { App } from "./app.js";
import { database } from "./database.js";
import { keepForOffline } from "./offline.js";
import { Errors } from "./view/errors.js";

const errors = new Errors();
keepForOffline();

try {
  await new App(await open({ database }), errors).start();
} catch (error) {
  errors.show(error);
}
