// The address of a step leads to it, also when the page of its run does not show it: then the page is
// asked for with the steps around it.
function seek() {
  const step = /^#s-(\d+)(-\d+)?$/.exec(location.hash);
  if (!step || !document.getElementById("run-steps")) return;
  if (document.getElementById(location.hash.slice(1))) return;
  const url = new URL(location.href);
  // Asked for once already: there is no such step.
  if (url.searchParams.get("at") === step[1]) return;
  url.search = `?at=${step[1]}`;
  location.assign(url);
}

addEventListener("hashchange", seek);
seek();
