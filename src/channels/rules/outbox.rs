//! The outbox. A row is written with the fact that it reports, and changes only through these steps. Nothing is sent twice
//! without a mark, and nothing is lost silently.

use jiff::SignedDuration;
use kernel::key::KeyBuf;
use kernel::{ChannelId, Error, ProblemKind, RunId, Timestamp};
use store::{Range, ReadExt as _, WriteTx};

use crate::model::{BY_RUN, Channel, ChannelState, Delivery, DeliveryId, DeliveryState, Payload};
use crate::queries;

/// Answers are no use later.
const LASTS: SignedDuration = SignedDuration::from_mins(30);
/// What is of use for longer.
pub(super) const DAY: SignedDuration = SignedDuration::from_hours(24);
/// First and longest pause between attempts.
const FIRST_PAUSE: SignedDuration = SignedDuration::from_secs(2);
const LONGEST_PAUSE: SignedDuration = SignedDuration::from_mins(5);
/// Most parts of one message; the rest is in HQ.
const MAX_PARTS: usize = 20;
/// Most notes that wait in one chat; further ones are left out.
const MAX_OPEN: usize = 100;
/// Most files that follow one message.
const MAX_FILES: usize = 5;

/// Where a message goes.
#[derive(Clone, Debug)]
pub struct Place {
    pub channel: ChannelId,
    pub chat: String,
    pub thread: Option<String>,
    pub is_direct: bool,
    pub reply_to: Option<String>,
}

impl Place {
    #[must_use]
    pub fn direct(channel: ChannelId, chat: &str) -> Self {
        Self { channel, chat: chat.to_owned(), thread: None, is_direct: true, reply_to: None }
    }
}

/// Queues Markdown, one row per part.
pub fn queue(
    tx: &mut WriteTx<'_>,
    to: &Place,
    markdown: &str,
    run: Option<RunId>,
) -> Result<(), Error> {
    // A flood of commands must not fill the outbox: answers of runs are never left out.
    if run.is_none() && is_full(tx, to)? {
        return Ok(());
    }
    let text = new(tx, to, Payload::Text(String::new()), DeliveryState::Queued);
    queue_parts(tx, &Delivery { run, ..text }, markdown, &Payload::Text)
}

/// Whether so many messages wait in a chat that notes are left out.
pub(super) fn is_full(tx: &WriteTx<'_>, to: &Place) -> Result<bool, Error> {
    Ok(MAX_OPEN <= queries::open_in(tx, to.channel, &to.chat, MAX_OPEN)?)
}

/// Queues Markdown as deliveries like this one, one row per part.
pub(super) fn queue_parts(
    tx: &mut WriteTx<'_>,
    like: &Delivery,
    markdown: &str,
    payload: &dyn Fn(String) -> Payload,
) -> Result<(), Error> {
    let Some(channel) = tx.get::<Channel>(like.channel)? else { return Ok(()) };
    let mut texts = channel_format::chunks(markdown, crate::platform(channel.kind));
    if MAX_PARTS < texts.len() {
        texts.truncate(MAX_PARTS);
        texts.push("The rest of this answer is in HQ.".to_owned());
    }
    let parts = u32::try_from(texts.len()).unwrap_or(u32::MAX);
    for (part, text) in (1..).zip(texts) {
        let reply_to = like.reply_to.clone().filter(|_| part == 1);
        let (id, payload) = (tx.new_id(), payload(text));
        tx.put(&Delivery { id, part, parts, reply_to, payload, ..like.clone() })?;
    }
    Ok(())
}

/// Queues the files that Markdown links to. Which of them exist is known when they are sent.
pub(super) fn queue_files(
    tx: &mut WriteTx<'_>,
    to: &Place,
    markdown: &str,
    run: RunId,
) -> Result<(), Error> {
    for path in channel_format::paths(markdown).into_iter().take(MAX_FILES) {
        let file = new(tx, to, Payload::File { path }, DeliveryState::Queued);
        tx.put(&Delivery { run: Some(run), reply_to: None, ..file })?;
    }
    Ok(())
}

/// A delivery of one part.
pub(super) fn new(
    tx: &WriteTx<'_>,
    to: &Place,
    payload: Payload,
    state: DeliveryState,
) -> Delivery {
    let now = tx.now();
    Delivery {
        id: tx.new_id(),
        channel: to.channel,
        chat: to.chat.clone(),
        thread: to.thread.clone(),
        is_direct: to.is_direct,
        reply_to: to.reply_to.clone(),
        payload,
        part: 1,
        parts: 1,
        run: None,
        state,
        detail: String::new(),
        attempts: 0,
        is_repeat: false,
        provider_id: String::new(),
        due_at: now,
        expires_at: now + LASTS,
        created_at: now,
        sent_at: None,
    }
}

/// Takes a queued delivery for sending. Returns `None` if it is no longer queued, or has expired.
pub fn claim(tx: &mut WriteTx<'_>, id: DeliveryId) -> Result<Option<Delivery>, Error> {
    let Some(one) = tx.get::<Delivery>(id)? else { return Ok(None) };
    if one.state != DeliveryState::Queued {
        return Ok(None);
    }
    if one.expires_at <= tx.now() {
        end(tx, one, DeliveryState::Expired, "It couldn’t be sent in time.")?;
        return Ok(None);
    }
    let attempts = one.attempts + 1;
    let claimed = Delivery { state: DeliveryState::Sending, attempts, ..one };
    tx.put(&claimed)?;
    Ok(Some(claimed))
}

fn sending(tx: &WriteTx<'_>, id: DeliveryId) -> Result<Option<Delivery>, Error> {
    let one = tx.get::<Delivery>(id)?;
    Ok(one.filter(|one| one.state == DeliveryState::Sending))
}

/// It arrived.
pub fn settle_sent(tx: &mut WriteTx<'_>, id: DeliveryId, provider_id: &str) -> Result<(), Error> {
    let Some(one) = sending(tx, id)? else { return Ok(()) };
    let (channel, now) = (one.channel, tx.now());
    let provider_id = provider_id.to_owned();
    let (state, sent_at, detail) = (DeliveryState::Sent, Some(now), String::new());
    tx.put(&Delivery { state, sent_at, detail, provider_id, ..one })?;
    let state = queries::state(tx, channel, now)?;
    tx.put(&ChannelState { last_out: Some(now), ..state })?;
    Ok(())
}

/// It will never arrive.
pub fn settle_failed(tx: &mut WriteTx<'_>, id: DeliveryId, detail: &str) -> Result<(), Error> {
    let Some(one) = sending(tx, id)? else { return Ok(()) };
    end(tx, one, DeliveryState::Failed, detail)
}

/// There is nothing to send any more.
pub fn settle_needless(tx: &mut WriteTx<'_>, id: DeliveryId) -> Result<(), Error> {
    let Some(one) = sending(tx, id)? else { return Ok(()) };
    tx.put(&Delivery { state: DeliveryState::Suppressed, ..one })?;
    Ok(())
}

/// Ends a delivery together with the parts after it: half an answer must not continue in the middle.
fn end(
    tx: &mut WriteTx<'_>,
    one: Delivery,
    state: DeliveryState,
    detail: &str,
) -> Result<(), Error> {
    for later in queries::open(tx, one.channel)? {
        if later.state == DeliveryState::Queued && is_after(&later, &one) {
            tx.put(&Delivery { state, detail: detail.to_owned(), ..later })?;
        }
    }
    tx.put(&Delivery { state, detail: detail.to_owned(), ..one })?;
    Ok(())
}

/// Whether `later` is a later part of the same message.
fn is_after(later: &Delivery, one: &Delivery) -> bool {
    let message = |it: &Delivery| (it.channel, it.run, it.parts, it.created_at);
    message(later) == message(one) && later.chat == one.chat && one.part < later.part
}

/// The connection broke while sending. In a direct chat the message goes once more, with a mark; in a room a person
/// decides, since everybody would read it twice.
pub fn settle_unknown(tx: &mut WriteTx<'_>, id: DeliveryId) -> Result<(), Error> {
    let Some(one) = sending(tx, id)? else { return Ok(()) };
    let is_pressed = matches!(one.payload, Payload::Pressed { .. } | Payload::Update(_));
    if is_pressed || (one.is_direct && !one.is_repeat) {
        let due_at = tx.now() + FIRST_PAUSE;
        tx.put(&Delivery { state: DeliveryState::Queued, is_repeat: true, due_at, ..one })?;
        return Ok(());
    }
    end(tx, one, DeliveryState::Unknown, "The connection broke while it was sent.")
}

/// Not sent: another attempt follows. `wait` is the platform's wish. With `is_counted` false the attempt does not count.
pub fn postpone(
    tx: &mut WriteTx<'_>,
    id: DeliveryId,
    (detail, wait, is_counted): (&str, Option<SignedDuration>, bool),
) -> Result<(), Error> {
    let Some(one) = sending(tx, id)? else { return Ok(()) };
    let attempts = one.attempts - u32::from(!is_counted);
    let doubled = FIRST_PAUSE * (1_i32 << attempts.saturating_sub(1).min(8));
    let pause = wait.unwrap_or(doubled.min(LONGEST_PAUSE));
    let (due_at, detail) = (tx.now() + pause, detail.to_owned());
    tx.put(&Delivery { state: DeliveryState::Queued, attempts, due_at, detail, ..one })?;
    Ok(())
}

/// After a crash: what was being sent has an unknown outcome.
pub fn recover(tx: &mut WriteTx<'_>, channel: ChannelId) -> Result<(), Error> {
    for one in queries::open(tx, channel)? {
        if one.state == DeliveryState::Sending {
            settle_unknown(tx, one.id)?;
        }
    }
    Ok(())
}

/// Sends once more what failed, expired or may not have arrived, with the parts that follow it.
///
/// # Errors
/// If it was sent, or is still queued.
pub fn resend(tx: &mut WriteTx<'_>, id: DeliveryId) -> Result<(), Error> {
    let one = tx.get::<Delivery>(id)?.ok_or_else(gone)?;
    if one.state.is_open() || one.state == DeliveryState::Sent {
        let message = "it was sent already or is about to be sent";
        return Err(Error::new(ProblemKind::Conflict, "delivery_not_failed", message));
    }
    let is_repeat = one.state == DeliveryState::Unknown;
    let (due_at, expires_at) = (tx.now(), tx.now() + LASTS);
    let requeued = |one: Delivery, is_repeat: bool| {
        let (state, detail) = (DeliveryState::Queued, String::new());
        Delivery { state, detail, attempts: 0, is_repeat, due_at, expires_at, ..one }
    };
    if let Some(run) = one.run {
        let parts: Vec<Delivery> = tx.scan(BY_RUN, &Range::prefix(KeyBuf::of(&run)))?;
        for later in parts.into_iter().filter(|later| is_after(later, &one)) {
            if !later.state.is_open() && later.state != DeliveryState::Sent {
                tx.put(&requeued(later, false))?;
            }
        }
    }
    tx.put(&requeued(one, is_repeat))?;
    Ok(())
}

/// Gives up a delivery that did not arrive.
pub fn dismiss(tx: &mut WriteTx<'_>, id: DeliveryId) -> Result<(), Error> {
    let one = tx.get::<Delivery>(id)?.ok_or_else(gone)?;
    if one.state == DeliveryState::Sending || one.state == DeliveryState::Sent {
        let message = "it was sent already or is being sent";
        return Err(Error::new(ProblemKind::Conflict, "delivery_sent", message));
    }
    tx.put(&Delivery { state: DeliveryState::Suppressed, ..one })?;
    Ok(())
}

fn gone() -> Error {
    Error::new(ProblemKind::NotFound, "delivery_not_found", "there is no such delivery")
}

/// The next time at which something is due.
#[must_use]
pub fn next_due(open: &[Delivery]) -> Option<Timestamp> {
    open.iter().filter(|one| one.state == DeliveryState::Queued).map(|one| one.due_at).min()
}
