// Waits until the page has not changed for a while.
(quiet, most) =>
  new Promise((done) => {
    let timer = setTimeout(end, quiet);
    const last = setTimeout(end, most);
    const observer = new MutationObserver(() => {
      clearTimeout(timer);
      timer = setTimeout(end, quiet);
    });
    observer.observe(document, { subtree: true, childList: true, attributes: true, characterData: true });
    function end() {
      observer.disconnect();
      clearTimeout(timer);
      clearTimeout(last);
      done(true);
    }
  })
