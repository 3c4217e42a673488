//! One link, from the handshake to its end: frames of the primary are applied and then acknowledged, and the host
//! reports its state every ten seconds.

use std::collections::BTreeSet;
use std::time::Duration;

use app::downstream::{Tell, Told};
use app::upstream::{Aside, Refusal, Upstream as _};
use bytes::Bytes;
use gateways::rules::outbox;
use kernel::{AgentId, RunId, TypedId as _};
use link::frame::{Ack, Beat, Broke, Command, Frame, Have, KeyAck, KeyPush, Log, Welcome};
use link::{LinkError, Linked, MAX_MESSAGE, Receiver, Sender, Session};
use mirror::{Laid, MirrorError, Parcel, Standing};
use parking_lot::Mutex;
use serde_json::{Value, json};
use store::{Room, StoreError, codec};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};
use zeroize::Zeroizing;

use crate::calls::Versions;
use crate::error::ReplicaError;
use crate::folder::Known;
use crate::shut_out::{self, AT_ODDS, CHOICE, SHUT_OUT};
use crate::status::Why;
use crate::{Ending, Replica, facts};

/// Interval of beats.
const BEAT: Duration = Duration::from_secs(10);
/// Retry delay for a disk that accepts no writes.
const BREATH: Duration = Duration::from_secs(5);
/// How long sending a goodbye may take.
const FAREWELL: Duration = Duration::from_secs(5);
/// Goodbye word of a program that stops and will come back.
pub(crate) const STOPPING: &str = "stopping";
/// Goodbye word of a primary that has revoked this host.
const REVOKED: &str = "revoked";
/// Goodbye word of a primary that holds this host, because another one has the same folder.
const HELD: &str = "held";
/// The repository of agents that work or have worked here.
const FILES: &str = "agents.git";
/// Bytes of a frame besides its payload.
const FRAME: usize = 64;

/// How a link ends unintentionally.
enum End {
    /// The primary has closed it, with this word.
    Said(String),
    /// The connection or a frame has failed.
    Failed(ReplicaError),
}

impl From<LinkError> for End {
    fn from(error: LinkError) -> Self {
        Self::Failed(error.into())
    }
}

impl From<MirrorError> for End {
    fn from(error: MirrorError) -> Self {
        Self::Failed(error.into())
    }
}

impl From<ReplicaError> for End {
    fn from(error: ReplicaError) -> Self {
        Self::Failed(error)
    }
}

impl End {
    fn why(self) -> Why {
        let mut code = "link_closed";
        let (sentence, wait) = match self {
            Self::Failed(error) => return Why::of(&error),
            Self::Said(word) => match word.as_str() {
                REVOKED => {
                    code = shut_out::REVOKED;
                    let text = "this machine no longer has access; run `hq replica leave` and join \
                        with a new command";
                    (text.to_owned(), Some(SHUT_OUT))
                }
                "replaced" => (
                    "another program has connected with this machine's key; run only one of them, \
                     and give a copy its own folder"
                        .to_owned(),
                    Some(AT_ODDS),
                ),
                HELD => {
                    code = shut_out::HELD;
                    let text = "two machines run as this gateway because its folder was copied; \
                                both are paused until you choose one in Settings, Gateways";
                    (text.to_owned(), Some(CHOICE))
                }
                STOPPING => ("the workspace is restarting".to_owned(), None),
                other => (format!("the workspace has closed the link ({other})"), None),
            },
        };
        Why { code: code.to_owned(), sentence, wait }
    }
}

impl Replica {
    /// Serves a link until it ends: on request or for another reason.
    pub(crate) async fn converse(&self, linked: Linked) -> Result<Ending, Why> {
        let Linked { admitted, version, session, .. } = linked;
        let Session { sender, mut receiver, pump } = session;
        tracing::info!("linked as {}, with HQ {version} at the workspace", admitted.label);
        self.0.now.lock().linked(self.moment(), version);
        let begins = Begins::default();
        let hears = async {
            let end = self.hears(&sender, &mut receiver, &begins).await;
            sender.cut();
            end
        };
        let goes_on = async {
            let gone = self.goes_on(&sender, &begins).await;
            if gone.is_err() {
                sender.cut();
            }
            gone
        };
        let parts = async {
            // The rest of the outbox waits for the next link.
            let ending = tokio::select! {
                biased;
                ending = self.until_ending() => ending,
                _ = sender.over() => return None,
            };
            // ok: without a goodbye the primary detects the silence.
            let _ = timeout(FAREWELL, sender.goodbye(ending.word())).await;
            sender.cut();
            Some(ending)
        };
        let beats = self.beats(&sender, &begins.beats);
        let (_, end, gone, (), parted) = tokio::join!(pump.run(), hears, goes_on, beats, parts);
        self.0.calls.cut();
        match (parted, gone) {
            (Some(ending), _) => Ok(ending),
            (None, Err(End::Failed(error))) if !matches!(error, ReplicaError::Link(_)) => {
                Err(Why::of(&error))
            }
            (None, _) => Err(end.why()),
        }
    }

    /// Handles the primary's frames. Returns how the link ended.
    async fn hears(&self, sender: &Sender, receiver: &mut Receiver, begins: &Begins) -> End {
        let mut talk = Talk { host: self, sender, agents: BTreeSet::new(), begins };
        loop {
            let heard = match receiver.next().await {
                Ok(frame) => talk.heard(frame).await,
                Err(error) => Err(error.into()),
            };
            if let Err(end) = heard {
                return end;
            }
        }
    }

    /// After the welcome: sends the outbox, then reports what the mirror has, so that the primary continues from there.
    async fn goes_on(&self, sender: &Sender, begins: &Begins) -> Result<(), End> {
        tokio::select! {
            biased;
            _ = sender.over() => return Ok(()),
            () = begins.welcomed.notified() => {}
        }
        self.drain(sender).await?;
        let Some(epoch) = *begins.epoch.lock() else { return Ok(()) };
        let (have, is_void) = self.have(epoch).await?;
        // A void mirror stays void until everything has come again; an interrupted snapshot starts over.
        match is_void {
            true => *begins.void.lock() = Some(epoch),
            false => self.is_of(epoch)?,
        }
        sender.send(Frame::Have(Have { have })).await?;
        self.0.calls.linked(sender).await;
        if let Standing::Following(..) = self.stands().await?
            && !is_void
            && !self.0.calls.is_settling()
        {
            self.wants();
        }
        Ok(())
    }

    /// Requests the engine if agents work here or have worked here, because the primary may lack some of their commits.
    fn wants(&self) {
        if *self.0.is_wanted.borrow() {
            return;
        }
        if !self.0.calls.agents().is_empty() || self.0.folder.join(FILES).exists() {
            self.0.is_wanted.send_replace(true);
        }
    }

    async fn stands(&self) -> Result<Standing, End> {
        let mirror = self.0.mirror.clone();
        let read = tokio::task::spawn_blocking(move || mirror.standing()).await;
        Ok(read.map_err(|error| MirrorError::from(StoreError::Panicked(error.to_string())))??)
    }

    /// Checks whether the mirror has everything again that was released.
    async fn settle(&self) -> Result<(), End> {
        if !self.0.calls.is_settling() {
            return Ok(());
        }
        let mirror = self.0.mirror.clone();
        let read = tokio::task::spawn_blocking(move || mirror.is_whole()).await;
        if read.map_err(|error| MirrorError::from(StoreError::Panicked(error.to_string())))?? {
            self.0.calls.is_settled();
        }
        Ok(())
    }

    /// After the welcome: reports this host's state until the link ends.
    async fn beats(&self, sender: &Sender, begins: &Notify) {
        tokio::select! {
            biased;
            _ = sender.over() => return,
            () = begins.notified() => {}
        }
        loop {
            let host = self.clone();
            // ok: reading machine and disk does not panic.
            let Ok(beat) = tokio::task::spawn_blocking(move || host.beat()).await else { return };
            if sender.send(Frame::Beat(beat)).await.is_err() {
                return;
            }
            tokio::select! {
                biased;
                _ = sender.over() => return,
                () = sleep(BEAT) => {}
            }
        }
    }

    /// The present state. Blocking.
    fn beat(&self) -> Beat {
        let (store, now) = (self.0.mirror.store(), self.0.now.lock().clone());
        let disk_full = now.is_full || store.room().is_some_and(Room::is_full);
        Beat {
            disk_full,
            stuck: now.trouble.filter(|_| !disk_full).unwrap_or_default(),
            // ok: an unreadable disk is reported by what needs it.
            unsent: store.read(|snap| outbox::count(snap)).map_or(0, |count| count.writes),
            broke: now.broke.map(|(at, why)| Broke { at_ms: at.as_millisecond(), why }),
            ..facts::beat(&self.0.folder, self.0.clock.now_ms())
        }
    }

    /// What the mirror has, and whether it reports nothing because its content is void.
    async fn have(&self, epoch: u64) -> Result<(Bytes, bool), ReplicaError> {
        let mirror = self.0.mirror.clone();
        let read = tokio::task::spawn_blocking(move || mirror.have()).await;
        let have = read.map_err(|error| StoreError::Panicked(error.to_string()))??;
        let noted = self.known().and_then(|known| known.epoch);
        let is_void = have.standing != Standing::Nothing && noted != Some(epoch);
        let encoded = codec::encode(&have).map_err(StoreError::from)?;
        if !is_void && encoded.len() + FRAME <= MAX_MESSAGE {
            return Ok((encoded.into(), false));
        }
        // If the list is too long for a frame, everything is sent anew, too.
        let nothing = codec::encode(&mirror::Have::default()).map_err(StoreError::from)?;
        Ok((nothing.into(), is_void))
    }

    /// Marks the mirror's content as belonging to this epoch.
    fn is_of(&self, epoch: u64) -> Result<(), ReplicaError> {
        match self.known() {
            Some(known) => self.keep(Known { epoch: Some(epoch), ..known }),
            None => Ok(()),
        }
    }
}

/// The state of one link.
struct Talk<'t> {
    host: &'t Replica,
    sender: &'t Sender,
    /// The agents of this host.
    agents: BTreeSet<AgentId>,
    begins: &'t Begins,
}

/// The state of a link's start, for concurrent tasks.
#[derive(Default)]
struct Begins {
    /// The primary has sent its welcome; one notification per waiting task.
    welcomed: Notify,
    beats: Notify,
    /// The primary's epoch.
    epoch: Mutex<Option<u64>>,
    /// The epoch of the data that replaces void data.
    void: Mutex<Option<u64>>,
}

impl Talk<'_> {
    async fn heard(&mut self, frame: Frame) -> Result<(), End> {
        match frame {
            Frame::Welcome(welcome) => self.welcomed(&welcome),
            Frame::Scope(scope) => self.are(named(&scope.body)),
            Frame::Control(control) if control.run.is_none() => match control.body["do"].as_str() {
                Some("pause") => self.pause(true),
                Some("resume") => self.pause(false),
                Some("tell") => self.pass_question(&control.body).await?,
                Some("keys") => {
                    self.host.0.calls.keyed(named(&control.body), versions(&control.body));
                }
                _ => {}
            },
            Frame::Answer(answer) => self.host.0.calls.answered(answer),
            Frame::KeyPush(push) => self.take_key(push).await?,
            Frame::KeyRevoke(revoke) => self.host.0.calls.forget_key(&revoke.handle),
            Frame::SnapshotBegin(begin) => self.heads(begin.head),
            Frame::SnapshotRows(rows) => self.lay(&rows.rows).await?,
            Frame::SnapshotEnd(end) => {
                let void = self.begins.void.lock().take();
                if let Some(epoch) = void {
                    self.host.is_of(epoch)?;
                }
                self.host.settle().await?;
                self.host.0.calls.has(end.head);
                self.host.wants();
                self.sender.send(Frame::Ack(Ack { seq: end.head })).await?;
            }
            Frame::Feed(feed) => {
                self.heads(feed.upto);
                if !feed.steps.is_empty() {
                    self.lay(&feed.steps).await?;
                }
                if let Standing::Following(_, seq) = self.host.stands().await? {
                    self.host.settle().await?;
                    self.host.0.calls.has(seq);
                    self.host.wants();
                }
                self.sender.send(Frame::Ack(Ack { seq: feed.upto })).await?;
            }
            Frame::Goodbye(goodbye) => {
                if goodbye.why == REVOKED {
                    self.host.0.calls.forget_keys();
                }
                return Err(End::Said(goodbye.why));
            }
            other => tracing::debug!("nothing is done here with what came: {:?}", other.lane()),
        }
        Ok(())
    }

    fn welcomed(&mut self, welcome: &Welcome) {
        let ahead = welcome.clock_ms.saturating_sub(self.host.0.clock.now_ms());
        {
            let mut now = self.host.0.now.lock();
            (now.clock_ms, now.head) = (Some(ahead), Some(welcome.head));
            let status = welcome.settings["status"].as_str();
            now.is_paused = matches!(status, Some("paused" | "draining"));
            self.host.0.calls.pause(now.is_paused);
        }
        self.host.0.calls.anew();
        self.are(named(&welcome.settings));
        *self.begins.epoch.lock() = Some(welcome.epoch);
        self.begins.welcomed.notify_one();
        self.begins.beats.notify_one();
    }

    /// Passes a question of the primary to the engine; answers "not yet" if the engine is not running.
    async fn pass_question(&self, body: &Value) -> Result<(), End> {
        let Some(Err(tell)) = Tell::of(body).map(|tell| self.host.0.calls.heard(tell)) else {
            return Ok(());
        };
        let words = "no agent works on this machine yet; try again in a moment";
        for part in Told::all(&tell.number, &Err(Refusal::new("not_yet", words))) {
            // Number 0 is never awaited: nothing handles the answer to an answer.
            let (run, what) = (RunId::from_bytes([0; 16]), Aside::Told(part).to_json());
            let body = json!({ "what": what });
            let command = Command { run, epoch: 0, number: 0, body };
            self.sender.send(Frame::Command(command)).await?;
        }
        Ok(())
    }

    /// Sets the agents of this host.
    fn are(&mut self, agents: BTreeSet<AgentId>) {
        self.host.0.calls.are(&agents);
        self.agents = agents;
    }

    fn pause(&self, is_paused: bool) {
        self.host.0.now.lock().is_paused = is_paused;
        self.host.0.calls.pause(is_paused);
    }

    /// Stores a key in memory and acknowledges it.
    async fn take_key(&self, push: KeyPush) -> Result<(), End> {
        let KeyPush { handle, version, sealed } = push;
        if let Ok(key) = String::from_utf8(sealed.to_vec()) {
            self.host.0.calls.take_key(handle.clone(), version, Zeroizing::new(key));
        }
        Ok(self.sender.send(Frame::KeyAck(KeyAck { handle, version })).await?)
    }

    fn heads(&self, seq: u64) {
        let mut now = self.host.0.now.lock();
        now.head = now.head.max(Some(seq));
    }

    /// Applies a parcel. Waits while the disk accepts no writes: only durable parcels are acknowledged, so the primary
    /// holds back the rest.
    async fn lay(&self, bytes: &Bytes) -> Result<(), End> {
        loop {
            let laid = self.host.0.mirror.lay(self.agents.clone(), Parcel::decode(bytes)?).await;
            match laid {
                Ok(Laid { is_repeated, put, dropped, .. }) => {
                    tracing::debug!(is_repeated, put, dropped, "laid");
                    let mut now = self.host.0.now.lock();
                    (now.trouble, now.is_full) = (None, false);
                    return Ok(());
                }
                Err(MirrorError::Store(
                    error @ (StoreError::Full { .. }
                    | StoreError::Failed(_)
                    | StoreError::Unknown(_)
                    | StoreError::Busy),
                )) => self.held_up(&error).await?,
                Err(error) => {
                    self.say(&error.to_string()).await?;
                    return Err(error.into());
                }
            }
        }
    }

    /// The disk accepts no writes now.
    async fn held_up(&self, error: &StoreError) -> Result<(), End> {
        let words = error.to_string();
        let is_new = {
            let mut now = self.host.0.now.lock();
            now.is_full = matches!(error, StoreError::Full { .. });
            now.trouble.replace(words.clone()).as_ref() != Some(&words)
        };
        if is_new {
            tracing::warn!("what the workspace sends waits: {words}");
            self.say(&words).await?;
        }
        tokio::select! {
            why = self.sender.over() => Err(why.into()),
            () = sleep(BREATH) => Ok(()),
        }
    }

    /// Reports a problem to the primary.
    async fn say(&self, words: &str) -> Result<(), LinkError> {
        let at_ms = self.host.0.clock.now_ms();
        let log = Log { at_ms, level: "error".to_owned(), text: words.to_owned() };
        self.sender.send(Frame::Log(log)).await
    }
}

/// The agents in a scope message.
fn named(settings: &Value) -> BTreeSet<AgentId> {
    let all = settings["agents"].as_array().into_iter().flatten();
    all.filter_map(|one| one.as_str()?.parse().ok()).collect()
}

/// The key versions in a message.
fn versions(body: &Value) -> Versions {
    let all = body["keys"].as_object().into_iter().flatten();
    all.filter_map(|(handle, version)| Some((handle.clone(), version.as_u64()?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_home_has_sent_is_read_with_its_versions() {
        let body = json!({ "keys": { "a/0": u64::MAX, "b/0": "x" } });
        assert_eq!(versions(&body), [("a/0".to_owned(), u64::MAX)].into());
        assert!(versions(&json!({})).is_empty());
    }

    #[test]
    fn agents_are_named_by_their_ids_and_nothing_else_is_taken_for_one() {
        let id = "07070707-0707-0707-0707-070707070707";
        assert_eq!(named(&json!({ "agents": [id, "ada", 7] })).len(), 1);
        assert!(named(&json!({})).is_empty() && named(&json!({ "agents": id })).is_empty());
    }

    #[test]
    fn a_word_of_home_is_told_as_a_sentence_and_says_how_long_to_wait() {
        let why = |word: &str| End::Said(word.to_owned()).why();
        assert_eq!(why("revoked").wait, Some(SHUT_OUT));
        assert_eq!(why("replaced").wait, Some(AT_ODDS));
        assert_eq!(why("stopping").wait, None);
        assert_eq!((why("held").wait, why("held").code.as_str()), (Some(CHOICE), "gateway_held"));
        assert!(why("moving").sentence.contains("(moving)"));
    }
}
