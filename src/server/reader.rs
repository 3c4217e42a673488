//! Reads foreign documents in a child of this program: in the jail, without network, without a path, for a minute at
//! most.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use app::App;
use extract::{Answer, Extracted, Limits, Refused, Request, Source};
use sandbox::policy::{self, Policy};
use sandbox::spawn::{Command, Input, Output, Spawner};

/// How long a document may take.
const LONGEST: Duration = Duration::from_secs(60);
/// Address space of the child: 512 MiB, and what the program itself maps.
const MEMORY: u64 = 1536 << 20;

/// Has documents read by children of this program from now on.
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

/// What a child says; none when there is none.
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
    let mut said = Vec::new();
    std::thread::scope(|scope| {
        // A child that has heard enough answers before it has read all.
        scope.spawn(|| request.send(bytes, stdin));
        // ok: what is missing at its end makes it no answer.
        let _ = stdout.take(Answer::longest(limits) as u64 + 1).read_to_end(&mut said);
    });
    let end = started.job.wait_blocking();
    if !end.is_success() {
        tracing::info!(?end, "a document was not read to its end");
    }
    Some(Answer::receive(&said, limits))
}
