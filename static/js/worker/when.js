/** A time in words: the hour for today, else with the day. */
export function when(at, lang) {
  const day = at.toDateString() === new Date().toDateString() ? {} : { day: "numeric", month: "short" };
  return at.toLocaleString(lang === "en" ? "en-GB" : lang, { ...day, hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
}
