// Waits for the next change of the page, or for so long.
(most) =>
  new Promise((done) => {
    const timer = setTimeout(end, most);
    const observer = new MutationObserver(end);
    observer.observe(document, { subtree: true, childList: true, attributes: true, characterData: true });
    function end() {
      observer.disconnect();
      clearTimeout(timer);
      done(true);
    }
  })
