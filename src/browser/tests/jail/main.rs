//! The helper of the jail as its own program, and a browser holder that tests can kill.

use std::env;
use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use browser::launch::{Browser, Tended};
use browser::setup::Setup;
use sandbox::spawn::{OWN_PROGRAM, Spawner};

fn main() -> ExitCode {
    if let Some(code) = sandbox::helper(env::args_os()) {
        return code;
    }
    let folder = PathBuf::from(env::args_os().nth(1).expect("a folder"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(hold(folder));
    ExitCode::SUCCESS
}

/// Starts a browser, prints its process id, and holds it until it reads a byte.
async fn hold(folder: PathBuf) {
    let spawner = Spawner::new(OWN_PROGRAM.into()).expect("threads");
    let browser = Browser::new(Setup::new(spawner, folder));
    let page = browser.open_blank().await.expect("a tab");
    let Tended::Fine(health) = browser.tend().await else {
        panic!("the browser does not run");
    };
    let mut out = io::stdout();
    writeln!(out, "{} {}", health.pid, page.number()).expect("a reader");
    out.flush().expect("a reader");
    io::stdin().read_exact(&mut [0]).ok(); // ok: the other end is gone
}
