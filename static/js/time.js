// How the person has days, times and numbers written: <html> says it (data-date, data-time, data-number), and
// src/kernel/display.rs does the same.
const look = document.documentElement.dataset;
const two = (n) => String(n).padStart(2, "0");

/** A day, with its year unless told otherwise. */
export function dayText(day, hasYear = true) {
  const [d, m, y] = [day.getDate(), day.getMonth() + 1, hasYear ? [day.getFullYear()] : []];
  switch (look.date) {
    case "month_first": return [m, d, ...y].join("/");
    case "day_first": return [two(d), two(m), ...y].join("/");
    case "dots": return `${two(d)}.${two(m)}.${y}`;
    case "iso": return [...y, two(m), two(d)].join("-");
    default: return [d, day.toLocaleDateString("en-US", { month: "short" }), ...y].join(" ");
  }
}

/** The day that a text names as a whole, as a field is filled in; undefined for any other text. */
export function dayOf(typed) {
  const [, a, b, y] = /^(\d\d?)[/.](\d\d?)[/.](\d{4})$/.exec(typed) ?? [];
  const [d, m] = look.date === "month_first" ? [b, a] : [a, b];
  const text = y ? `${y}-${two(m)}-${two(d)}` : typed;
  const day = new Date(`${text}${text.includes("-") ? "T" : " "}12:00`);
  return /^(\d{4}-\d\d-\d\d|\d+ \w+ \d{4})$/.test(text) && !Number.isNaN(day.getTime()) ? day : undefined;
}

/** A time of day such as 14:30. */
export function timeText(time) {
  const [, h, m] = /^(\d\d?):(\d\d)$/.exec(time) ?? [];
  return m && look.time === "12" ? `${h % 12 || 12}:${m} ${h < 12 ? "am" : "pm"}` : time;
}

export const numberText = (n) => n.toLocaleString("en").replaceAll(",", { point: ".", space: "\u00a0" }[look.number] ?? ",");

// Relative times, renewed while the page is open by the steps of src/web/time.rs. Beyond a day the
// server's words stay, which know the person's zone.
function relative(at, now) {
  const secs = Math.floor(now / 1000) - Math.floor(at / 1000);
  const span = Math.abs(secs);
  if (secs >= 0 && span < 45) return "just now";
  let near;
  if (span < 90) near = "1 min";
  else if (span < 3570) near = `${Math.floor((span + 30) / 60)} min`;
  else if (span < 79200) near = `${Math.floor((span + 1800) / 3600)} h`;
  else return undefined;
  return secs < 0 ? `in ${near}` : `${near} ago`;
}

function renew() {
  const now = Date.now();
  for (const time of document.querySelectorAll("time[data-rel]")) {
    const text = relative(Date.parse(time.dateTime), now);
    if (text && time.textContent !== text) time.textContent = text;
  }
}

setInterval(renew, 15000);
document.addEventListener("visibilitychange", () => document.hidden || renew());
