//! The line between host and primary. It knows the frames of a WebSocket, but not their encrypted content.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{self, AsyncBufRead, AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _};
use tokio::io::{AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Time limit for a link that is to end because of a message.
const PATIENCE: Duration = Duration::from_secs(90);

/// A direction.
#[derive(Clone, Copy, Debug)]
pub enum Way {
    /// From the host to its primary.
    Up,
    /// From the primary to the host.
    Down,
}

/// Treatment of messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    /// They pass.
    Flows,
    /// They wait.
    Holds,
    /// They are lost.
    Loses,
    /// The next message arrives twice.
    Twice,
    /// Half of the next message arrives, then nothing.
    Torn,
}

#[derive(Clone, Copy, Debug)]
pub enum End {
    Host,
    Home,
}

/// The line. Dropping it ends all its connections.
pub struct Line {
    /// The primary's address for the host.
    pub address: String,
    shared: Arc<Shared>,
    accepts: JoinHandle<()>,
}

struct Shared {
    place: Mutex<Place>,
    open: Mutex<Vec<JoinHandle<()>>>,
    up: watch::Sender<Mood>,
    down: watch::Sender<Mood>,
    /// The end whose connections stay while the other end's are gone.
    left: watch::Sender<Option<End>>,
    /// Number of connections that ended without being cut.
    over: watch::Sender<u64>,
}

struct Place {
    home: String,
    is_cut: bool,
}

impl Line {
    /// A line to this address.
    pub async fn to(home: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = format!("http://{}", listener.local_addr().expect("an address"));
        let shared = Arc::new(Shared {
            place: Mutex::new(Place { home: host(home), is_cut: false }),
            open: Mutex::default(),
            up: watch::Sender::new(Mood::Flows),
            down: watch::Sender::new(Mood::Flows),
            left: watch::Sender::new(None),
            over: watch::Sender::new(0),
        });
        let accepts = tokio::spawn(Arc::clone(&shared).accept(listener));
        Self { address, shared, accepts }
    }

    /// Leads to another address.
    pub fn lead(&self, home: &str) {
        self.shared.place.lock().home = host(home);
    }

    /// Blocks everything, and closes the connections of both ends.
    pub fn cut(&self) {
        self.shared.place.lock().is_cut = true;
        self.hang_up();
    }

    /// Lets everything through again.
    pub fn mend(&self) {
        self.shared.place.lock().is_cut = false;
    }

    /// Closes all connections; new ones pass.
    pub fn hang_up(&self) {
        self.shared.open.lock().drain(..).for_each(|talk| talk.abort());
    }

    /// Closes the connections of one end; the other end is not notified and receives nothing.
    pub fn leave(&self, left: End) {
        self.shared.left.send_replace(Some(left));
    }

    /// Sets the treatment of further messages of a direction.
    pub fn set(&self, way: Way, mood: Mood) {
        self.shared.way(way).send_replace(mood);
    }

    /// The same for the next message only; waits until the link has ended because of it.
    pub async fn once(&self, way: Way, mood: Mood) {
        let mut over = self.shared.over.subscribe();
        let before = *over.borrow_and_update();
        self.set(way, mood);
        let ended = timeout(PATIENCE, over.wait_for(|count| before < *count)).await;
        assert!(ended.is_ok(), "{mood:?} {way:?}: the link goes on");
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.accepts.abort();
        self.hang_up();
    }
}

fn host(url: &str) -> String {
    url.trim_start_matches("http://").to_owned()
}

impl Shared {
    fn way(&self, way: Way) -> &watch::Sender<Mood> {
        match way {
            Way::Up => &self.up,
            Way::Down => &self.down,
        }
    }

    async fn accept(self: Arc<Self>, listener: TcpListener) {
        loop {
            let (near, _) = listener.accept().await.expect("a caller");
            // `cut` takes this lock, too: no connection can begin during a cut.
            let mut open = self.open.lock();
            let place = self.place.lock();
            if place.is_cut {
                continue;
            }
            open.retain(|talk| !talk.is_finished());
            open.push(tokio::spawn(Arc::clone(&self).talk(near, place.home.clone())));
        }
    }

    async fn talk(self: Arc<Self>, near: TcpStream, home: String) {
        if let Ok(far) = TcpStream::connect(home).await {
            self.join(near, far).await;
        }
        self.over.send_modify(|count| *count += 1);
    }

    /// Forwards both directions until one end closes.
    async fn join(&self, near: TcpStream, far: TcpStream) {
        let mut left = self.left.subscribe();
        // ok: without it, small messages are only late.
        let _ = (near.set_nodelay(true), far.set_nodelay(true));
        let (mut near_in, mut near_out) = near.into_split();
        let (mut far_in, mut far_out) = far.into_split();
        let left = tokio::select! {
            _ = self.carry(Way::Up, &mut near_in, &mut far_out) => None,
            _ = self.carry(Way::Down, &mut far_in, &mut near_out) => None,
            changed = left.changed() => changed.ok().and_then(|()| *left.borrow()),
        };
        // Data of the end that stays is discarded.
        match left {
            None => {}
            Some(End::Host) => {
                drop((far_in, far_out));
                swallow(near_in).await;
            }
            Some(End::Home) => {
                drop((near_in, near_out));
                swallow(far_in).await;
            }
        }
    }

    async fn carry(
        &self,
        way: Way,
        from: &mut (impl AsyncRead + Unpin),
        to: &mut (impl AsyncWrite + Unpin),
    ) -> io::Result<()> {
        let mut from = BufReader::new(from);
        if !beginning(&mut from, to).await? {
            return io::copy(&mut from, to).await.map(drop);
        }
        loop {
            let message = message(&mut from).await?;
            match self.mood(way, &message).await {
                Mood::Flows | Mood::Holds => to.write_all(&message).await?,
                Mood::Loses => {}
                Mood::Twice => {
                    to.write_all(&message).await?;
                    to.write_all(&message).await?;
                }
                Mood::Torn => return to.write_all(&message[..message.len() / 2]).await,
            }
        }
    }

    /// Treatment of a message, after any holding time.
    async fn mood(&self, way: Way, message: &[u8]) -> Mood {
        let mood = self.way(way);
        // ok: the sender exists.
        let _ = mood.subscribe().wait_for(|mood| *mood != Mood::Holds).await;
        // Binary messages are the two sides' frames; the others belong to the WebSocket.
        let is_said = message[0] & 0x0f == 2;
        let mut now = Mood::Flows;
        mood.send_if_modified(|mood| {
            now = *mood;
            let is_once = matches!(now, Mood::Twice | Mood::Torn);
            if is_once && is_said {
                *mood = Mood::Flows;
            } else if is_once {
                now = Mood::Flows;
            }
            is_once && is_said
        });
        now
    }
}

async fn swallow(mut from: impl AsyncRead + Unpin) {
    // ok: the data is discarded, and so is its end.
    let _ = io::copy(&mut from, &mut io::sink()).await;
}

/// Forwards the HTTP head; returns whether WebSocket messages follow.
async fn beginning(
    from: &mut (impl AsyncBufRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
) -> io::Result<bool> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if from.read_until(b'\n', &mut head).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    to.write_all(&head).await?;
    // A request asks for the upgrade; the response accepts or refuses it.
    Ok(!head.starts_with(b"HTTP/") || head.starts_with(b"HTTP/1.1 101"))
}

/// The next WebSocket message, unchanged.
async fn message(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Vec<u8>> {
    let mut head = [0; 2];
    from.read_exact(&mut head).await?;
    let mut all = head.to_vec();
    let (is_masked, short) = (head[1] & 0x80 != 0, head[1] & 0x7f);
    let more = match short {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    let mut length = [0; 8];
    from.read_exact(&mut length[8 - more..]).await?;
    all.extend_from_slice(&length[8 - more..]);
    let length = if more == 0 { u64::from(short) } else { u64::from_be_bytes(length) };
    let length = usize::try_from(length).map_err(io::Error::other)?;
    let begins = all.len();
    all.resize(begins + length + if is_masked { 4 } else { 0 }, 0);
    from.read_exact(&mut all[begins..]).await?;
    Ok(all)
}
