/** The step that sends a file, once it is known what becomes of it. */

import { element, setText } from "../dom.js";
import { anotherKey, keyOf } from "../files/key.js";
import { sent as sendFile } from "../files/send.js";
import { bytes, counted } from "../format.js";
import { noticePlace, showFault } from "../notice.js";
import { jobAddress } from "../router.js";
import { step } from "./step.js";

/** Make the step; it is hidden until `show` is told what the check found. */
export function sendPart({ api, sent, announce }, { file, format, isAgain, signal }) {
  const notices = noticePlace();
  const bar = element("progress", { max: file.size, value: 0, hidden: true, "aria-label": "Bytes sent" });
  const told = element("p", { class: "small", role: "status" });
  const button = element("button", { type: "button", class: "primary", on: { click: send } });
  const stop = element("button", { type: "button", hidden: true }, "Stop");
  const node = step(4, "Send", element("p", { class: "small" }, isAgain
    ? "It is sent as a new batch, though it was accepted before: its cases are applied once more."
    : "The same file to the same place is accepted once, however often it is sent: after a reload, choose it again and nothing is doubled."),
  element("div", { class: "row" }, button, stop), bar, told, notices.node);
  node.hidden = true;
  let target = null;

  function show(to, found) {
    target = to;
    const total = found && counted(found.total, "item");
    setText(button, !found ? "Send the file" : found.groups.items ? `Send ${total} all the same` : `Send ${total}`);
    node.hidden = false;
    button.focus();
  }
  async function send() {
    const stopped = new AbortController();
    const left = AbortSignal.any([signal, stopped.signal]);
    stop.onclick = () => stopped.abort();
    running(true);
    try {
      const { job, repeated } = await delivered(left);
      sent.set(job.jobId, { file, format, target, repeated });
      announce(repeated ? "The file had been accepted before." : "The file is accepted.");
      location.hash = jobAddress(job.jobId);
    } catch (fault) {
      if (signal.aborted) return;
      setText(told, stopped.signal.aborted ? "Stopped. If the service had already accepted the file, its job is listed under Jobs." : "");
      if (!stopped.signal.aborted) showFault(notices, fault, null);
      running(false);
    }
  }
  async function delivered(left) {
    setText(told, "Reading the file …");
    const key = await keyOf(file, target, { signal: left });
    return sendFile(api, { file, format, target, key: isAgain ? anotherKey(key) : key }, {
      signal: left,
      onProgress(loaded) {
        notices.clear();
        bar.value = loaded;
        setText(told, loaded < file.size ? `${bytes(loaded)} of ${bytes(file.size)}` : "Sent. The service is putting it on disk …");
      },
      onWait: (fault, seconds) => showFault(notices, fault, seconds),
    });
  }
  function running(isRunning) {
    button.disabled = isRunning;
    stop.hidden = !isRunning;
    bar.hidden = !isRunning;
    if (isRunning) notices.clear();
  }

  return { node, show };
}
