/** The step that sends a file, once it is known what becomes of it. */

import { element, setText } from "../dom.js";
import { anotherKey } from "../files/key.js";
import { counted } from "../format.js";
import { jobAddress } from "../router.js";
import { step } from "./step.js";
import { uploading } from "./uploading.js";

/** Make the step; it is hidden until `show` gets what the check found. */
export function sendPart({ api, sent, announce }, { file, format, isAgain, signal, onUpload }) {
  const upload = uploading(api, { file, format, signal, onUpload });
  const button = element("button", { type: "button", on: { click: send } });
  const node = step(5, "Send it", element("p", { class: "small" }, isAgain
    ? "It is sent as a new batch, though it was accepted before: its cases are applied once more."
    : "The same file to the same place is accepted once, however often it is sent: after a reload, choose it again and nothing is doubled."),
  element("div", { class: "row" }, button, upload.stop), ...upload.nodes);
  node.hidden = true;
  let target = null;

  async function send() {
    button.disabled = true;
    const stopped = "Stopped. If the service had already accepted the file, its job is listed under Jobs.";
    const isSent = await upload.run(target, { keyFor: (key) => (isAgain ? anotherKey(key) : key), onJob: opened, stopped });
    if (!isSent) button.disabled = false;
  }
  async function opened({ job, repeated }) {
    sent.set(job.jobId, { file, format, target, repeated });
    announce(repeated ? "The file had been accepted before." : "The file is accepted.");
    location.hash = jobAddress(job.jobId);
  }

  return {
    node,
    show(to, found) {
      target = to;
      const total = found ? counted(found.total, "item") : "the file";
      setText(button, found?.groups.items ? `Send ${total} for real all the same` : `Send ${total} for real`);
      node.hidden = false;
    },
    /** Make it what comes next. */
    offer() {
      button.classList.add("primary");
      button.focus();
    },
  };
}
