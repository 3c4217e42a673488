// Waits for the next change of the page and those that come with it, or for so long.
(most) =>
  new Promise((done) => {
    let first = true;
    const last = setTimeout(end, most);
    const observer = new MutationObserver(() => {
      if (first) setTimeout(end, 100);
      first = false;
    });
    observer.observe(document, { subtree: true, childList: true, attributes: true, characterData: true });
    function end() {
      observer.disconnect();
      clearTimeout(last);
      done(true);
    }
  })
