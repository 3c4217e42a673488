// What is likely to be opened next is fetched while the pointer rests on its link: the rules that pages come
// with (src/web/ahead.json) speak of links with data-ahead. What is fetched so is forgotten soon, and as soon
// as something is changed, so that no page shows how it was.
const rest = 65;
const life = 4000;
const places = '.side a.nav, .tabbar a, .row[id^="task-"] a.title, .tile a, .due-pill a, .views a, .seg a';
// Opening these is noted: what is said there counts as read, or somebody has looked at what is another's.
const noted = /\/(chat|runs|sessions)(\/|$)/;
let timer;
let now;

function forget() {
  clearTimeout(timer);
  now?.removeAttribute("data-ahead");
  now = undefined;
}

function look({ target, type }) {
  const link = target.closest?.("a[href]");
  if (link === now) return;
  forget();
  // What a region takes in is no page, and some of it is kept as a choice when it is asked for.
  if (!link?.matches(places) || link.hasAttribute("hx-get") || noted.test(link.pathname) || link.origin !== location.origin || link.href === location.href) return;
  now = link;
  timer = setTimeout(
    () => {
      link.setAttribute("data-ahead", "");
      timer = setTimeout(forget, life);
    },
    type === "pointerover" ? rest : 0,
  );
}

document.addEventListener("pointerover", look, { passive: true });
document.addEventListener("focusin", (event) => event.target.matches?.(":focus-visible") && look(event));
document.addEventListener("submit", forget, true);
document.addEventListener("hq:settled", forget);
