// The demo: a chat whose messages, steps and answers are events of one Holdfast conversation.
import { type Conversation, type Holdfast, open } from "@holdfast-dev/holdfast";
import { steps } from "./agent/agent.js";
import { Log } from "./log.js";
import { bodyOf } from "./message.js";
import { keepForOffline } from "./offline.js";
import { handlerOf } from "./process.js";
import { describeRecovery, describeTakeover } from "./recovery.js";
import { type Role, Turns } from "./turns.js";
import { Banner } from "./view/banner.js";
import { Chat } from "./view/chat.js";
import { Composer } from "./view/composer.js";
import { Errors } from "./view/errors.js";
import { EventLog } from "./view/eventlog.js";
import { Frame } from "./view/frame.js";
import { Storage } from "./view/storage.js";

const errors = new Errors();
keepForOffline();

try {
  const holdfast = await open({ database: "holdfast-demo" });
  const start = performance.now();
  const conversation = await holdfast.recover("chat");
  await run(holdfast, conversation, performance.now() - start);
} catch (error) {
  errors.show(error);
}

async function run(holdfast: Holdfast, conversation: Conversation, milliseconds: number): Promise<void> {
  const turns = new Turns(conversation, handlerOf(steps));
  const chat = new Chat(conversation.state, steps, {
    cancel: (id) => void conversation.cancel(id).catch(failed),
    retry: (id) => void conversation.retry(id).catch(failed),
  });
  const banner = new Banner();
  const rows = new EventLog();
  let role: Role | undefined;

  const answer = (): void => {
    turns.run(became).catch((error: unknown) => {
      became("stopped");
      failed(error);
    });
  };
  const failed = (error: unknown): void => errors.show(error, role === "stopped" ? answer : undefined);

  const storage = new Storage(holdfast, failed);
  const composer = new Composer(async (text) => {
    try {
      await conversation.send({ body: bodyOf(text) });
    } catch (error) {
      failed(error);
      throw error;
    }
    chat.toEnd();
  });
  const frame = new Frame(() => {
    banner.hide();
    holdfast.delete(conversation.id).then(() => conversation.refresh()).catch(failed);
    composer.focus();
  });

  let fresh = false;
  const log = new Log(conversation, (events) => rows.add(events, log.length, fresh));
  await log.update();
  fresh = true;
  const recovery = { events: log.length, milliseconds };

  const show = (): void => {
    chat.show(conversation.state, role);
    frame.show(conversation.state, role);
    log.update().catch(failed);
    storage.update().catch(failed);
  };
  const became = (now: Role): void => {
    if (role === undefined && recovery.events > 0) banner.show(describeRecovery(recovery, conversation.state, now, steps));
    if (role === "follower" && now === "agent") banner.show(describeTakeover(conversation.state, steps));
    role = now;
    show();
    chat.toActive();
  };

  conversation.subscribe(show);
  show();
  composer.enable();
  answer();
}
