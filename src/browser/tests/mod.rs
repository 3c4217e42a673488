//! Tests of the driver against Debian's Chromium in the jail, with pages served under test host names.

mod site;
mod transport;
mod life;
mod tabs;
mod snapshot;
mod clickable;
mod pdf;
mod reopen;
mod act;
mod stake;
mod cast;
mod private;
mod stage;
mod downloads;
mod hang;
mod hostile;
mod fields;
mod beside;

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use sandbox::spawn::Spawner;
use tempfile::TempDir;
use tokio::time::{sleep, timeout};

use crate::launch::Browser;
use crate::page::Page;
use crate::setup::{PROGRAM, Setup};
use site::Site;

/// A browser in its own folder whose proxy is the site.
struct Host {
    browser: Browser,
    site: Site,
    dir: TempDir,
}

impl Host {
    fn new(site: Site) -> Self {
        Self::with(site, |_setup| {})
    }

    fn with(site: Site, change: impl FnOnce(&mut Setup)) -> Self {
        let chromium = PathBuf::from(PROGRAM);
        assert!(chromium.is_file(), "{PROGRAM} is missing; run `make setup`");
        let dir = tempfile::tempdir().unwrap();
        let spawner = Spawner::new(helper()).unwrap();
        let mut setup = Setup::new(spawner, dir.path().canonicalize().unwrap().join("browser"));
        setup.way_out = Some(site.port());
        change(&mut setup);
        Self { browser: Browser::new(setup), site, dir }
    }

    /// A browser that shows this page at `http://a.test/`.
    async fn showing(html: &str) -> (Self, Page) {
        let html = html.to_owned();
        let host = Self::new(Site::new(move |_host, _path| Site::page(&html)));
        let page = host.browser.open("http://a.test/").await.unwrap();
        (host, page)
    }
}

/// The helper of the jail, built with the tests.
fn helper() -> PathBuf {
    let own = std::env::current_exe().unwrap();
    let built = own.parent().unwrap().parent().unwrap().join("examples/browser-jail");
    assert!(
        built.is_file(),
        "{} is not built; run `cargo build -p browser --examples`",
        built.display()
    );
    built
}

/// Number of living processes of a session.
fn living(session: i32) -> usize {
    let all = sandbox::procfs::all();
    all.iter().filter(|process| process.session == session && !process.is_gone()).count()
}

/// Waits until no process of a session is alive; ending may take time on a busy machine.
async fn is_gone(session: i32) {
    let gone = timeout(Duration::from_secs(20), async {
        while 0 < living(session) {
            sleep(Duration::from_millis(10)).await;
        }
    });
    assert!(gone.await.is_ok(), "{} are left", living(session));
}

fn kill(pid: i32) {
    let done = Command::new("kill").args(["-9", &pid.to_string()]).status().unwrap();
    assert!(done.success());
}
