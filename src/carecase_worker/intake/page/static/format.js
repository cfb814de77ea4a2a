/** Numbers, moments and sizes as people read them. */

const NUMBER = new Intl.NumberFormat("en");
const MOMENT = new Intl.DateTimeFormat("en", { dateStyle: "medium", timeStyle: "medium" });
const AGO = new Intl.RelativeTimeFormat("en", { numeric: "auto", style: "narrow" });
const STEPS = [
  [60, "second", 1],
  [3600, "minute", 60],
  [86_400, "hour", 3600],
  [Infinity, "day", 86_400],
];

export const number = (value) => NUMBER.format(value);

/** Return a number with its noun: 1 item, 2 items. */
export const counted = (value, noun) => `${number(value)} ${noun}${value === 1 ? "" : "s"}`;

export const moment = (text) => MOMENT.format(new Date(text));

/** Return how long ago a moment was, or how far ahead it is. */
export function ago(text, now = Date.now()) {
  const seconds = Math.round((new Date(text) - now) / 1000);
  if (Math.abs(seconds) < 5) return "just now";
  const [, unit, size] = STEPS.find(([below]) => Math.abs(seconds) < below);
  return AGO.format(Math.trunc(seconds / size), unit);
}

/** Return a duration in its two largest units: 1 h 5 min. */
export function duration(seconds) {
  const whole = Math.max(Math.round(seconds), 0);
  if (whole < 60) return `${whole} s`;
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor((whole % 3600) / 60)];
  if (hours) return minutes ? `${hours} h ${minutes} min` : `${hours} h`;
  return whole % 60 ? `${minutes} min ${whole % 60} s` : `${minutes} min`;
}

export function bytes(size) {
  const power = Math.min(Math.floor(Math.log2(Math.max(size, 1)) / 10), 3);
  const value = size / 1024 ** power;
  return `${value.toLocaleString("en", { maximumFractionDigits: value < 10 && power ? 1 : 0 })} ${["B", "KiB", "MiB", "GiB"][power]}`;
}

/** Return the end of a job's id, which differs between jobs that were accepted together. */
export const shortId = (id) => `…${id.slice(-8)}`;
