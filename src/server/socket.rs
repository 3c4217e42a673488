//! The local socket in the data directory, for programs of the same user or root.
//!
//! It has its own thread and runtime, so that `hq status` responds while all others are busy. It speaks the same HTTP
//! as the port. The kernel identifies the peer. Agents' commands run as the same user, so programs in the jail are
//! recognised by their marks and rejected.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use tokio::net::unix::UCred;
use tokio::net::{UnixListener, UnixStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use sandbox::procfs::{self, Jailed};
use web::session::Peer;

use super::listen::{DRAIN, Front, Patience, connection};

/// File name of the socket in the data directory.
pub const NAME: &str = "hq.sock";
/// Longer paths do not fit into a socket address.
const LONGEST_PATH: usize = 100;

/// Path of the socket in a form that fits into an address. Keeps the folder open while it exists.
pub struct Place {
    path: PathBuf,
    _folder: Option<File>,
}

impl Place {
    /// The socket of a data directory.
    ///
    /// # Errors
    /// When the directory cannot be opened.
    pub fn of(data: &Path) -> io::Result<Self> {
        let path = data.join(NAME);
        if path.as_os_str().len() < LONGEST_PATH {
            return Ok(Self { path, _folder: None });
        }
        let folder = File::open(data)?;
        let path = PathBuf::from(format!("/proc/self/fd/{}/{NAME}", folder.as_raw_fd()));
        Ok(Self { path, _folder: Some(folder) })
    }

    /// Connects to the socket.
    ///
    /// # Errors
    /// When no process listens.
    pub async fn connect(&self) -> io::Result<UnixStream> {
        UnixStream::connect(&self.path).await
    }
}

/// An open socket. Its file is removed when this is closed.
pub struct Socket {
    thread: Option<JoinHandle<()>>,
    file: PathBuf,
}

/// Opens the socket of a locked data directory.
pub fn open(data: &Path, front: Front, stop: CancellationToken) -> io::Result<Socket> {
    let file = data.join(NAME);
    // Left by a killed process: the lock proves that no other process uses it.
    match fs::remove_file(&file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let place = Place::of(data)?;
    let listener = std::os::unix::net::UnixListener::bind(&place.path)?;
    fs::set_permissions(&file, Permissions::from_mode(0o600))?;
    listener.set_nonblocking(true)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let thread = std::thread::Builder::new().name("socket".to_owned()).spawn(move || {
        runtime.block_on(async move {
            match UnixListener::from_std(listener) {
                Ok(listener) => accept(listener, front, stop).await,
                Err(error) => tracing::error!(%error, "the local socket could not be opened"),
            }
        });
    })?;
    Ok(Socket { thread: Some(thread), file })
}

impl Socket {
    /// Waits until open requests end and removes the socket. Blocking.
    pub fn close(mut self) {
        if let Some(thread) = self.thread.take() {
            // ok: the thread printed its panic.
            let _ = thread.join();
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // ok: the next start removes the file.
        let _ = fs::remove_file(&self.file);
    }
}

async fn accept(listener: UnixListener, front: Front, stop: CancellationToken) {
    let own = rustix::process::geteuid().as_raw();
    let tracker = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => break,
        };
        let Ok((stream, _)) = accepted else { continue };
        match stream.peer_cred().map(|peer| (peer.uid(), admit(&peer, own))) {
            Ok((uid, Ok(()))) => {
                let peer = Peer::Socket { uid };
                let head = Patience::default().head;
                tracker.spawn(connection(stream, peer, front.clone(), stop.clone(), head));
            }
            Ok((uid, Err(reason))) => tracing::warn!(uid, "refused at the socket: {reason}"),
            Err(error) => tracing::warn!(%error, "somebody at the socket could not be told"),
        }
    }
    tracker.close();
    // ok: requests that are still open after the drain time are cut off.
    let _ = tokio::time::timeout(DRAIN, tracker.wait()).await;
}

/// Whether a program may connect: same user or root, and not started by an agent. A program that has already ended
/// cannot be checked and is rejected.
fn admit(peer: &UCred, own: u32) -> Result<(), &'static str> {
    match (peer.uid(), peer.pid()) {
        // Jailed programs have our user id. Root may connect from another namespace, where we cannot see its process.
        (0, _) if own != 0 => Ok(()),
        (uid, _) if uid != own => Err("another user"),
        (_, Some(pid)) => match procfs::jailed(pid) {
            Jailed::No => Ok(()),
            Jailed::Yes => Err("a program of an agent"),
            Jailed::Unknown => Err("a program that cannot be looked at"),
        },
        (_, None) => Err("a program without a number"),
    }
}
