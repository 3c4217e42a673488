//! Starts a server's program in the jail. Its own folder is its home and stays between starts. It reads and changes the
//! configured folders, and reaches the configured hosts.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use app::Ws;
use features::workspace::model::Settings;
use sandbox::job::{Job, StopReason};
use sandbox::left_over;
use sandbox::policy::{Policy, WithoutLandlock};
use sandbox::space::Room;
use sandbox::spawn::{Command, Input, Output, Started};
use store::{ReadExt as _, StoreError};
use tokio::net::unix::pipe::{Receiver, Sender};

use super::way::Way;
use crate::model::{McpServer, McpServerId};
use crate::names;

/// More processes than a server with its package manager needs.
const MAX_PROCESSES: usize = 64;

/// Number of starts since HQ started.
static STARTS: AtomicU64 = AtomicU64::new(0);

/// A started program with its pipes.
pub struct Program {
    pub job: Job,
    /// The folder with its mark.
    pub mark: PathBuf,
    pub input: Sender,
    pub output: Receiver,
    pub errors: Receiver,
}

/// Folders of markers by which the next start of HQ ends what is left of programs.
pub fn marks(ws: &Ws) -> PathBuf {
    ws.folder.join("mcp").join("run")
}

/// The home of a server's program.
fn home(ws: &Ws, server: McpServerId) -> PathBuf {
    ws.folder.join("mcp").join("home").join(server.to_string())
}

/// Deletes the home of a removed server.
pub async fn forget(ws: &Ws, server: McpServerId) {
    let removed = tokio::fs::remove_dir_all(home(ws, server)).await;
    if let Err(error) = removed
        && error.kind() != std::io::ErrorKind::NotFound
    {
        tracing::warn!(%error, "the folder of an MCP server could not be deleted");
    }
}

/// Starts the program.
///
/// # Errors
/// Why it cannot run, in a sentence.
pub async fn start(
    ws: &Ws,
    server: &McpServer,
    env: Vec<(String, String)>,
) -> Result<Program, String> {
    let failed = |error: std::io::Error| format!("Its folder can’t be made: {error}.");
    let own = home(ws, server.id);
    let (files, scratch) = (own.join("files"), own.join("tmp"));
    for folder in [&files, &scratch] {
        tokio::fs::create_dir_all(folder).await.map_err(failed)?;
    }
    // One per start: an earlier program of the server may still be ending.
    let start = STARTS.fetch_add(1, Ordering::Relaxed);
    let mark = marks(ws).join(format!("{}-{start}", server.id));
    let prepared = mark.clone();
    let made = tokio::task::spawn_blocking(move || left_over::make(&prepared)).await;
    made.map_err(std::io::Error::other).flatten().map_err(failed)?;
    let data = &ws.app.config.data;
    let mut policy = Policy::for_agent(&files, &scratch, data);
    policy.readable.extend(folders(data, &server.read).await?);
    policy.writable.extend(folders(data, &server.write).await?);
    let without_jail = ws.read(|snap| {
        let settings = snap.get::<Settings>(())?;
        Ok::<_, StoreError>(settings.is_some_and(|settings| settings.exec_without_jail))
    });
    if without_jail.map_err(|error| web::form::sentence(&error.to_string()))? {
        policy.without_landlock = WithoutLandlock::Start;
    }
    let way = match server.hosts.is_empty() && server.open_hosts.is_empty() {
        true => None,
        false => {
            let hosts = (server.hosts.as_slice(), server.open_hosts.as_slice());
            let way = Way::open(ws, hosts, &mut policy).await.map_err(failed)?;
            Some(way.ok_or("This machine can’t keep a program to a list of hosts.")?)
        }
    };
    let (program, args) = server.command.split_first().ok_or("It has no command.")?;
    let mut command = Command::new(program, policy);
    command.args = args.iter().map(OsString::from).collect();
    command.env = Command::base_env(&files, &scratch);
    command.env.extend(way.iter().flat_map(Way::env));
    command.env.extend(env.into_iter().map(|(name, value)| (name.into(), value.into())));
    command.stdin = Input::Pipe;
    command.stdout = Output::Pipe;
    command.stderr = Output::Pipe;
    command.max_processes = MAX_PROCESSES;
    command.room = Some(Room::default());
    command.noted_in = Some(mark.clone());
    let started = ws.app.sandbox.spawn(command).await;
    let started = started.map_err(|error| web::form::sentence(&error.to_string()))?;
    let Started { job, stdin: Some(input), stdout: Some(output), stderr: Some(errors), way_out } =
        started
    else {
        return Err("It has no pipes.".to_owned());
    };
    if let Some(way) = way {
        way.serve(way_out, &job);
    }
    let pipes = || -> std::io::Result<(Sender, Receiver, Receiver)> {
        Ok((
            Sender::from_owned_fd(input.into())?,
            Receiver::from_owned_fd(output.into())?,
            Receiver::from_owned_fd(errors.into())?,
        ))
    };
    match pipes() {
        Ok((input, output, errors)) => Ok(Program { job, mark, input, output, errors }),
        Err(error) => {
            job.stop(StopReason::Stopped);
            Err(format!("Its pipes can’t be used: {error}."))
        }
    }
}

/// The configured folders as they are on this machine. No part of a path is a link, because a program could replace a
/// folder that it changes by a link to another one, which no person approved.
async fn folders(data: &Path, folders: &[String]) -> Result<Vec<PathBuf>, String> {
    let mut found = Vec::new();
    // ok: an unreadable data folder is compared as it is written.
    let data = &tokio::fs::canonicalize(data).await.unwrap_or_else(|_| data.to_owned());
    for folder in folders {
        let real = tokio::fs::canonicalize(folder).await;
        // ok: a folder that cannot be read is reported as missing.
        let real = real.map_err(|_| format!("The folder {folder} doesn’t exist."))?;
        if real != Path::new(folder) {
            let real = names::visible(&real.to_string_lossy());
            return Err(format!("The folder {folder} is a link. Enter the real folder, {real}."));
        }
        if real.starts_with(data) || data.starts_with(&real) {
            return Err(format!("The folder {folder} contains data of HQ."));
        }
        found.push(real);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::folders;

    #[tokio::test]
    async fn a_folder_that_became_a_link_is_not_given_to_a_program() {
        let place = tempfile::tempdir().unwrap();
        let top = tokio::fs::canonicalize(place.path()).await.unwrap();
        let (work, secret, data) = (top.join("work"), top.join("ssh"), top.join("data"));
        for folder in [&work, &work.join("own"), &secret, &data] {
            tokio::fs::create_dir(folder).await.unwrap();
        }
        let given = [work.join("own").to_string_lossy().into_owned()];
        assert_eq!(folders(&data, &given).await.unwrap(), [work.join("own")]);
        tokio::fs::remove_dir(work.join("own")).await.unwrap();
        symlink(&secret, work.join("own")).unwrap();
        let refused = folders(&data, &given).await.unwrap_err();
        assert!(refused.contains("is a link"), "{refused}");
        // Also a link above the folder.
        tokio::fs::create_dir(secret.join("deep")).await.unwrap();
        let given = [work.join("own/deep").to_string_lossy().into_owned()];
        assert!(folders(&data, &given).await.is_err());
        let given = [data.to_string_lossy().into_owned()];
        assert!(folders(&data, &given).await.unwrap_err().contains("contains data of HQ"));
    }
}
