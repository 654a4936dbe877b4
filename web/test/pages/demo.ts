// Parts of the demo by themselves.
export { passagesOf, quote, search } from "../../demo/agent/search.js";
export { answerNodes } from "../../demo/view/answer.js";
export { Settings } from "../../demo/settings.js";
