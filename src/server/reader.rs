//! Extracts text from untrusted documents in a child process: jailed, without network and file access, for one minute
//! at most.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use app::App;
use extract::{Answer, Extracted, Limits, Refused, Request, Source};
use sandbox::policy::{self, Policy};
use sandbox::spawn::{Command, Input, Output, Spawner};

/// Time limit per document.
const LONGEST: Duration = Duration::from_secs(60);
/// Address space of the child in bytes: 512 MiB plus the mappings of the program itself.
const MEMORY: u64 = 1536 << 20;

/// Installs child processes as the extractor.
pub fn install(app: &App) {
    let (spawner, data) = (app.sandbox.clone(), app.config.data.clone());
    // The jail opens the program by its path.
    let program = match std::fs::canonicalize(spawner.program()) {
        Ok(program) => program,
        Err(error) => {
            tracing::warn!(%error, "documents are read without a jail");
            return;
        }
    };
    extract::install(Arc::new(move |bytes, source, limits| {
        read((&spawner, &program, &data), (bytes, source), limits)
    }));
}

/// The result of a child process; `None` if there is none.
fn read(
    (spawner, program, data): (&Spawner, &PathBuf, &PathBuf),
    (bytes, source): (&[u8], Source<'_>),
    limits: &Limits,
) -> Option<Result<Extracted, Refused>> {
    let nowhere = Path::new("/");
    let policy = Policy {
        writable: Vec::new(),
        readable: vec![program.clone()],
        limits: policy::Limits {
            cpu_secs: Some(LONGEST.as_secs()),
            file_bytes: Some(0),
            open_files: Some(32),
            memory_bytes: Some(MEMORY),
        },
        ..Policy::for_agent(nowhere, nowhere, data)
    };
    let command = Command {
        args: vec![extract::ARGUMENT.into()],
        stdin: Input::Pipe,
        stdout: Output::Pipe,
        timeout: Some(LONGEST),
        max_processes: 1,
        ..Command::new(program, policy)
    };
    let mut started = match spawner.spawn_blocking(command) {
        Ok(started) => started,
        Err(error) => {
            tracing::warn!(%error, "a document is read without a jail");
            return None;
        }
    };
    let (stdin, stdout) = (started.stdin.take()?, started.stdout.take()?);
    let request = Request {
        name: source.name.to_owned(),
        encoding: source.encoding.map(str::to_owned),
        limits: *limits,
    };
    let mut text = Vec::new();
    std::thread::scope(|scope| {
        // A child with enough input responds before it has read everything.
        scope.spawn(|| request.send(bytes, stdin));
        // ok: a truncated result is rejected.
        let _ = stdout.take(Answer::longest(limits) as u64 + 1).read_to_end(&mut text);
    });
    let end = started.job.wait_blocking();
    if !end.is_success() {
        tracing::info!(?end, "a document was not read to its end");
    }
    Some(Answer::receive(&text, limits))
}
