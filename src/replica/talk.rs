//! One link, from the handshake to its end: what home says is laid and then acknowledged, and home hears every ten
//! seconds how this machine is.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use kernel::AgentId;
use link::frame::{Ack, Frame, Have, KeyAck, KeyPush, Log, Welcome};
use link::{LinkError, Linked, MAX_MESSAGE, Receiver, Sender, Session};
use mirror::{Laid, MirrorError, Parcel, Standing};
use serde_json::Value;
use store::{StoreError, codec};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};
use zeroize::Zeroizing;

use crate::calls::Versions;
use crate::error::ReplicaError;
use crate::folder::Known;
use crate::status::Why;
use crate::{AT_ODDS, Ending, Replica, SHUT_OUT, facts};

/// How often home hears how this machine is.
const BEAT: Duration = Duration::from_secs(10);
/// How long a disk that takes nothing is left alone.
const BREATH: Duration = Duration::from_secs(5);
/// How long home may take to take a goodbye.
const FAREWELL: Duration = Duration::from_secs(5);
/// The word of a program that ends and comes back.
pub(crate) const STOPPING: &str = "stopping";
/// The word of a home that lets this machine in no more.
const REVOKED: &str = "revoked";
/// What a frame needs besides the bytes that it carries.
const FRAME: usize = 64;

/// How a link ends that nobody here wanted to end.
enum End {
    /// Home has closed it, with this word.
    Said(String),
    /// The line, or what came over it.
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
        let (sentence, wait) = match self {
            Self::Failed(error) => return Why::of(&error),
            Self::Said(word) => match word.as_str() {
                REVOKED => (
                    "this machine is not let in any more; run `hq replica leave`, and join with a new command"
                        .to_owned(),
                    Some(SHUT_OUT),
                ),
                "replaced" => (
                    "another program has linked with the key of this machine; run one of both, and give a copy a \
                     folder of its own"
                        .to_owned(),
                    Some(AT_ODDS),
                ),
                STOPPING => ("the workspace is being started again".to_owned(), None),
                other => (format!("the workspace has closed the link ({other})"), None),
            },
        };
        Why { code: "link_closed".to_owned(), sentence, wait }
    }
}

impl Replica {
    /// Talks until the link ends: because it was asked to end here, or for another reason.
    pub(crate) async fn converse(&self, linked: Linked) -> Result<Ending, Why> {
        let Linked { admitted, version, session, .. } = linked;
        let Session { sender, mut receiver, pump } = session;
        tracing::info!("linked as {}, with HQ {version} at the workspace", admitted.label);
        self.0.now.lock().linked(self.moment(), version);
        let begins = Notify::new();
        let hears = async {
            let end = self.hears(&sender, &mut receiver, &begins).await;
            sender.cut();
            end
        };
        let parts = async {
            // What is written waits for the next link.
            let ending = tokio::select! {
                biased;
                ending = self.asked() => ending,
                _ = sender.over() => return None,
            };
            // ok: where nobody hears it any more, the silence tells.
            let _ = timeout(FAREWELL, sender.goodbye(ending.word())).await;
            sender.cut();
            Some(ending)
        };
        let (_, end, (), parted) =
            tokio::join!(pump.run(), hears, self.beats(&sender, &begins), parts);
        self.0.calls.cut();
        match parted {
            Some(ending) => Ok(ending),
            None => Err(end.why()),
        }
    }

    /// Hears what home says; gives how it ended.
    async fn hears(&self, sender: &Sender, receiver: &mut Receiver, begins: &Notify) -> End {
        let mut talk = Talk { host: self, sender, agents: BTreeSet::new(), epoch: None };
        loop {
            let heard = match receiver.next().await {
                Ok(frame) => talk.heard(frame, begins).await,
                Err(error) => Err(error.into()),
            };
            if let Err(end) = heard {
                return end;
            }
        }
    }

    /// Says how this machine is, once home has welcomed it, until the link ends.
    async fn beats(&self, sender: &Sender, begins: &Notify) {
        tokio::select! {
            biased;
            _ = sender.over() => return,
            () = begins.notified() => {}
        }
        loop {
            let beat = facts::beat(&self.0.folder, self.0.clock.now_ms());
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

    /// What it has of the workspace, as home is told, and whether that is nothing because what is here was made void.
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
        // Too much to be told is sent anew, too.
        let nothing = codec::encode(&mirror::Have::default()).map_err(StoreError::from)?;
        Ok((nothing.into(), is_void))
    }

    /// All that it has is of this epoch from now on.
    fn is_of(&self, epoch: u64) -> Result<(), ReplicaError> {
        match self.known() {
            Some(known) => self.keep(Known { epoch: Some(epoch), ..known }),
            None => Ok(()),
        }
    }
}

/// What is known of one link.
struct Talk<'t> {
    host: &'t Replica,
    sender: &'t Sender,
    /// The agents of this host.
    agents: BTreeSet<AgentId>,
    /// The epoch of what comes in the place of what is void.
    epoch: Option<u64>,
}

impl Talk<'_> {
    async fn heard(&mut self, frame: Frame, begins: &Notify) -> Result<(), End> {
        match frame {
            Frame::Welcome(welcome) => {
                self.welcomed(welcome).await?;
                begins.notify_one();
            }
            Frame::Scope(scope) => self.are(named(&scope.body)),
            Frame::Control(control) if control.run.is_none() => match control.body["do"].as_str() {
                Some("pause") => self.pause(true),
                Some("resume") => self.pause(false),
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
                if let Some(epoch) = self.epoch.take() {
                    self.host.is_of(epoch)?;
                }
                self.host.0.calls.has(end.head);
                self.wants();
                self.sender.send(Frame::Ack(Ack { seq: end.head })).await?;
            }
            Frame::Feed(feed) => {
                self.heads(feed.upto);
                if !feed.steps.is_empty() {
                    self.lay(&feed.steps).await?;
                }
                if let Standing::Following(_, seq) = self.stands().await? {
                    self.host.0.calls.has(seq);
                    self.wants();
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

    async fn welcomed(&mut self, welcome: Welcome) -> Result<(), End> {
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
        let (have, is_void) = self.host.have(welcome.epoch).await?;
        // What is void stays so until all of it has come anew; a snapshot that is cut off begins again until then.
        match is_void {
            true => self.epoch = Some(welcome.epoch),
            false => self.host.is_of(welcome.epoch)?,
        }
        self.sender.send(Frame::Have(Have { have })).await?;
        self.host.0.calls.linked(self.sender).await;
        if let Standing::Following(..) = self.stands().await?
            && !is_void
        {
            self.wants();
        }
        Ok(())
    }

    /// These agents work here from now on.
    fn are(&mut self, agents: BTreeSet<AgentId>) {
        self.host.0.calls.are(&agents);
        self.agents = agents;
    }

    fn pause(&self, is_paused: bool) {
        self.host.0.now.lock().is_paused = is_paused;
        self.host.0.calls.pause(is_paused);
    }

    /// There is something to work with, if agents work here.
    fn wants(&self) {
        if !self.agents.is_empty() && !*self.host.0.is_wanted.borrow() {
            self.host.0.is_wanted.send_replace(true);
        }
    }

    async fn stands(&self) -> Result<Standing, End> {
        let mirror = self.host.0.mirror.clone();
        let read = tokio::task::spawn_blocking(move || mirror.standing()).await;
        Ok(read.map_err(|error| MirrorError::from(StoreError::Panicked(error.to_string())))??)
    }

    /// Keeps a key in memory, and says so.
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

    /// Lays a parcel. While the disk takes nothing it waits: nothing is acknowledged that is not durable, so home keeps
    /// the rest back.
    async fn lay(&self, bytes: &Bytes) -> Result<(), End> {
        loop {
            let laid = self.host.0.mirror.lay(self.agents.clone(), Parcel::decode(bytes)?).await;
            match laid {
                Ok(Laid { again, put, dropped, .. }) => {
                    tracing::debug!(again, put, dropped, "laid");
                    self.host.0.now.lock().trouble = None;
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

    /// The disk takes nothing now.
    async fn held_up(&self, error: &StoreError) -> Result<(), End> {
        let words = error.to_string();
        let is_new = {
            let mut now = self.host.0.now.lock();
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

    /// Tells home what is wrong here.
    async fn say(&self, words: &str) -> Result<(), LinkError> {
        let at_ms = self.host.0.clock.now_ms();
        let log = Log { at_ms, level: "error".to_owned(), text: words.to_owned() };
        self.sender.send(Frame::Log(log)).await
    }
}

/// The agents that home names.
fn named(settings: &Value) -> BTreeSet<AgentId> {
    let all = settings["agents"].as_array().into_iter().flatten();
    all.filter_map(|one| one.as_str()?.parse().ok()).collect()
}

/// What home has sent, as it names it.
fn versions(body: &Value) -> Versions {
    let all = body["keys"].as_object().into_iter().flatten();
    all.filter_map(|(handle, version)| Some((handle.clone(), version.as_u64()?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

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
        assert!(why("moving").sentence.contains("(moving)"));
    }
}
