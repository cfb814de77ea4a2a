/** The place for a file: it is dropped there, or chosen. */

import { element, setText } from "../dom.js";
import { bytes } from "../format.js";

/** Have a field report a file that is chosen once more, as after it was corrected: browsers report another choice only. */
export function canBeChosenAgain(input) {
  input.addEventListener("click", () => void (input.value = ""));
}

/** Make the place; `onFile` is given each file that is chosen. */
export function dropPlace(onFile) {
  const input = element("input", { type: "file", id: "file", class: "spoken", "aria-describedby": "file-hint",
    accept: ".json,.ndjson,.jsonl,.csv,.tsv,.psv,.txt,.dat,.gz,.zst" });
  const name = element("strong", {}, "Drop a file here");
  const text = element("span", {}, "or choose one");
  const label = element("label", { for: "file", class: "drop" }, name, text);
  const node = element("div", { class: "drop-place" }, input, label,
    element("p", { class: "hint", id: "file-hint" }, "JSON (an array), NDJSON (a case a line), CSV or TSV, or rows in a form of your own; each may be packed as .gz or .zst."));

  let taken = null;
  function take(file) {
    if (!file || input.disabled) return;
    taken = file;
    setText(name, file.name);
    setText(text, `${bytes(file.size)} · choose another one`);
    onFile(file);
  }
  canBeChosenAgain(input);
  input.addEventListener("change", () => take(input.files[0]));
  for (const event of ["dragenter", "dragover"]) {
    label.addEventListener(event, (dragged) => {
      dragged.preventDefault();
      label.classList.add("over");
    });
  }
  for (const event of ["dragleave", "drop"]) label.addEventListener(event, () => label.classList.remove("over"));
  label.addEventListener("drop", (dropped) => {
    dropped.preventDefault();
    take(dropped.dataTransfer.files[0]);
  });
  return {
    node,
    take,
    hold(isHeld) {
      input.disabled = isHeld;
    },
    get file() {
      return taken;
    },
  };
}
