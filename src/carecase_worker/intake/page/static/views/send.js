/** The view that sends a file: it is chosen, checked by the service's rules, tried against the database, and sent. */

import { element } from "../dom.js";
import { FileFault } from "../faults.js";
import { dropPlace } from "../files/drop.js";
import { formatOf, mapped } from "../files/formats.js";
import { canDigest } from "../files/key.js";
import { mappingChoice } from "../files/mapping.js";
import { noticePlace, showFault } from "../notice.js";
import { checkPart } from "../send/check-part.js";
import { sendPart } from "../send/send-part.js";
import { step } from "../send/step.js";
import { targetPart } from "../send/target-part.js";
import { tryPart } from "../send/try-part.js";

/** Make the view. Work for it ends when `signal` is aborted. */
export function sendView(context, { query }, signal) {
  const notices = noticePlace();
  const target = targetPart(context.api, signal);
  const mapping = mappingChoice(context.api, signal);
  const next = element("div", {});
  const again = context.sent.get(query.get("again"));
  let [work, isBegun] = [null, false];

  /** Note an upload that begins or ends: while one runs, nothing can be chosen that would make it another. */
  function onUpload(upload, isRunning) {
    context.uploads[isRunning ? "add" : "delete"](upload);
    for (const part of [target, mapping, drop]) part.hold(context.uploads.size > 0);
  }

  /** Begin anew with a file, or with another target or mapping for it. */
  async function begin(file) {
    work?.abort();
    [work, isBegun] = [new AbortController(), false];
    const stop = AbortSignal.any([signal, work.signal]);
    notices.clear();
    next.replaceChildren();
    try {
      const plain = await formatOf(file);
      if (file.size === 0) throw new FileFault("The file is empty. Choose another one.");
      const format = mapped(plain, await mapping.offer(plain, (fault, seconds) => showFault(notices, fault, seconds)));
      stop.throwIfAborted();
      notices.clear();
      const send = sendPart(context, { file, format, target, isAgain: file === again?.file, signal: stop, onUpload });
      const trial = tryPart(context, { file, format, signal: stop, onUpload, onTried: send.offer });
      const onBegun = () => void (isBegun = true);
      function onChecked(to, found) {
        send.show(to, found);
        trial.show(to);
      }
      const check = checkPart(context, { file, format, target, signal: stop, onBegun, onChecked });
      next.replaceChildren(check.node, trial.node, send.node);
    } catch (fault) {
      if (!stop.aborted) showFault(notices, fault, null);
    }
  }

  const drop = dropPlace(begin);
  // a check is for one target; before it has begun nothing is rebuilt under somebody's pointer
  target.onChange(() => {
    if (isBegun) begin(drop.file);
  });
  mapping.onChange(() => begin(drop.file));
  if (again) {
    target.set(again.target);
    mapping.set(again.format.mapping);
    drop.take(again.file);
  }
  if (!canDigest()) notices.show("error", element("p", {}, "Files can be sent from this page only over https: open it with https://."));
  return element("div", { class: "send" },
    element("h1", { tabindex: -1 }, "Send a file"),
    element("p", { class: "lead" }, "Each case is held to the rules, and tried against the database, before anything is applied. You decide after you have seen the outcome."),
    notices.node,
    canDigest() && [step(1, "Where to", target.node), step(2, "The file", drop.node, mapping.node), next]);
}
