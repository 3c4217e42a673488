//! The local way in: a socket in the data folder for programs of the same user or root.
//!
//! It has a thread and a runtime of its own, so that `hq status` is answered while all others are
//! busy. It speaks the same HTTP as the port; who is at the other end is told by the kernel. An agent's
//! command runs as the same user, so a program in the jail is told by its marks and refused.

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

/// The socket's name in the data folder.
pub const NAME: &str = "hq.sock";
/// Longer paths do not fit into a socket's address.
const LONGEST_PATH: usize = 100;

/// Where the socket is, in a form that fits into an address. The folder stays open as long as the
/// value lives.
pub struct Place {
    path: PathBuf,
    _folder: Option<File>,
}

impl Place {
    /// The socket of a data folder.
    ///
    /// # Errors
    /// When the folder cannot be opened.
    pub fn of(data: &Path) -> io::Result<Self> {
        let path = data.join(NAME);
        if path.as_os_str().len() < LONGEST_PATH {
            return Ok(Self { path, _folder: None });
        }
        let folder = File::open(data)?;
        let path = PathBuf::from(format!("/proc/self/fd/{}/{NAME}", folder.as_raw_fd()));
        Ok(Self { path, _folder: Some(folder) })
    }

    /// Connects to it.
    ///
    /// # Errors
    /// When nobody listens.
    pub async fn connect(&self) -> io::Result<UnixStream> {
        UnixStream::connect(&self.path).await
    }
}

/// An open socket; removed when this is closed.
pub struct Socket {
    thread: Option<JoinHandle<()>>,
    file: PathBuf,
}

/// Opens the socket of a data folder that is held.
///
/// # Errors
/// When it cannot be made.
pub fn open(data: &Path, front: Front, stop: CancellationToken) -> io::Result<Socket> {
    let file = data.join(NAME);
    // Left behind by a kill: the lock says that nobody else can be using it.
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
    /// Waits until open requests are over and removes the socket. Blocking.
    pub fn close(mut self) {
        if let Some(thread) = self.thread.take() {
            // ok: a panic of that thread was printed where it happened.
            let _ = thread.join();
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // ok: the next start removes it.
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
    // ok: what is still open after the time for draining is cut off.
    let _ = tokio::time::timeout(DRAIN, tracker.wait()).await;
}

/// Whether a program may come in: the same user's or root's, and none that an agent started. A program
/// that has ended already cannot be looked at and gets no answer either.
fn admit(peer: &UCred, own: u32) -> Result<(), &'static str> {
    match (peer.uid(), peer.pid()) {
        // Jailed programs have our user id; root may look from outside, where we cannot see it.
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
