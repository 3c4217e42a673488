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
