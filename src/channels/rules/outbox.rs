//! The outbox. A row is written with the fact that it reports, and changes only through these steps. Nothing is sent twice
//! without a mark, and nothing is lost silently.

use features::claims::rules as claims;
use features::runs::model::Run;
use jiff::SignedDuration;
use kernel::key::KeyBuf;
use kernel::{ChannelId, Error, ProblemKind, RunId, RunState};
use store::{Range, ReadExt as _, WriteTx};

use crate::model::{
    Access, BY_RUN, Channel, ChannelState, Delivery, DeliveryId, DeliveryState, Payload,
    ReceiptState,
};
use crate::queries;

/// After this time, an answer is no longer sent.
const LASTS: SignedDuration = SignedDuration::from_mins(30);
/// How long notifications, results and removals of previews are tried.
pub(super) const DAY: SignedDuration = SignedDuration::from_hours(24);
/// First and longest pause between attempts.
const FIRST_PAUSE: SignedDuration = SignedDuration::from_secs(2);
const LONGEST_PAUSE: SignedDuration = SignedDuration::from_mins(5);
/// Maximum number of parts of a message; the rest is only in HQ.
const MAX_PARTS: usize = 20;
/// Maximum number of notes that wait in a chat; others are dropped.
const MAX_OPEN: usize = 100;
/// Maximum number of files sent after a message.
const MAX_FILES: usize = 5;

/// The destination of a message.
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
        receipt: None,
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
    if is_private(&one) && !has_access(tx, &one)? {
        end(tx, one, DeliveryState::Suppressed, "The person no longer has access.")?;
        return Ok(None);
    }
    let attempts = one.attempts + 1;
    let claimed = Delivery { state: DeliveryState::Sending, attempts, ..one };
    tx.put(&claimed)?;
    Ok(Some(claimed))
}

/// Whether only a person with access may read it. Codes and other replies to strangers are not private.
fn is_private(one: &Delivery) -> bool {
    let is_content = match &one.payload {
        Payload::Text(_) => one.run.is_some(),
        Payload::Pressed { .. } | Payload::Removal(_) => false,
        Payload::Card(_)
        | Payload::Update(_)
        | Payload::File { .. }
        | Payload::Notice { .. }
        | Payload::Said(_)
        | Payload::Preview(_) => true,
    };
    one.is_direct && is_content
}

/// Whether the person of a direct chat is a guest, or still a member.
fn has_access(tx: &WriteTx<'_>, one: &Delivery) -> Result<bool, Error> {
    for person in queries::people(tx, one.channel)? {
        if person.chat == one.chat
            && (person.access == Access::Guest || queries::account_of(tx, &person)?.is_some())
        {
            return Ok(true);
        }
    }
    Ok(false)
}

fn sending(tx: &WriteTx<'_>, id: DeliveryId) -> Result<Option<Delivery>, Error> {
    let one = tx.get::<Delivery>(id)?;
    Ok(one.filter(|one| one.state == DeliveryState::Sending))
}

/// Queues a preview of a run's answer, which is removed when the run ends.
pub fn preview(tx: &mut WriteTx<'_>, to: &Place, run: RunId, text: &str) -> Result<(), Error> {
    let is_running = tx.get::<Run>(run)?.is_some_and(|run| run.state == RunState::Running);
    if tx.get::<Channel>(to.channel)?.is_none() || !is_running {
        return Ok(());
    }
    let payload = Payload::Preview(text.to_owned());
    let one = new(tx, to, payload, DeliveryState::Queued);
    tx.put(&Delivery { run: Some(run), ..one })?;
    Ok(())
}

/// Removes the previews of a run behind what is queued.
pub(super) fn remove_previews(tx: &mut WriteTx<'_>, run: RunId) -> Result<(), Error> {
    for one in queries::previews(tx, run)? {
        if !matches!(one.state, DeliveryState::Sending | DeliveryState::Sent) {
            tx.delete::<Delivery>(one.id)?;
            continue;
        }
        let (id, expires_at) = (tx.new_id(), tx.now() + DAY);
        let (state, payload) = (DeliveryState::Queued, Payload::Removal(one.id));
        let (due_at, created_at, reply_to) = (tx.now(), tx.now(), None);
        tx.put(&Delivery {
            id,
            state,
            payload,
            expires_at,
            due_at,
            created_at,
            reply_to,
            attempts: 0,
            provider_id: String::new(),
            ..one
        })?;
    }
    Ok(())
}

/// The message arrived.
pub fn settle_sent(tx: &mut WriteTx<'_>, id: DeliveryId, provider_id: &str) -> Result<(), Error> {
    let Some(one) = sending(tx, id)? else { return Ok(()) };
    if let Payload::Removal(_) = one.payload {
        return drop_passing(tx, &one);
    }
    let (channel, now) = (one.channel, tx.now());
    let provider_id = provider_id.to_owned();
    let (state, sent_at, detail) = (DeliveryState::Sent, Some(now), String::new());
    let said = said_by(&one);
    tx.put(&Delivery { state, sent_at, detail, provider_id, ..one })?;
    let state = queries::state(tx, channel, now)?;
    tx.put(&ChannelState { last_out: Some(now), ..state })?;
    decide(tx, said)
}

/// The run that sent a message with `channel_send`.
fn said_by(one: &Delivery) -> Option<RunId> {
    one.run.filter(|_| matches!(one.payload, Payload::Said(_)))
}

/// Decides claims that waited for a message.
fn decide(tx: &mut WriteTx<'_>, said: Option<RunId>) -> Result<(), Error> {
    match said {
        Some(run) => Ok(claims::message_settled(tx, run)?),
        None => Ok(()),
    }
}

/// Notes what a bridge reports of a sent message. A later report replaces an earlier one, except that a message that was
/// read was delivered. Returns `false` if nothing changes.
///
/// # Errors
/// If the channel sent no such message.
pub fn receipt(
    tx: &mut WriteTx<'_>,
    channel: ChannelId,
    (id, state, detail): (DeliveryId, ReceiptState, &str),
) -> Result<bool, Error> {
    let sent = tx.get::<Delivery>(id)?.filter(|one| one.channel == channel);
    let one = sent.ok_or_else(|| Error::field("data.key", "There is no message with this key."))?;
    let is_settled = matches!(one.state, DeliveryState::Sent | DeliveryState::Failed);
    let is_older = one.receipt == Some(ReceiptState::Read);
    if !is_settled || one.receipt == Some(state) || is_older {
        return Ok(false);
    }
    let detail: String = kernel::text::one_line(detail).chars().take(200).collect();
    let (state_now, detail) = match state {
        ReceiptState::Failed => (
            DeliveryState::Failed,
            match detail.is_empty() {
                true => "The bridge could not deliver it.".to_owned(),
                false => format!("The bridge could not deliver it: {detail}"),
            },
        ),
        ReceiptState::Delivered | ReceiptState::Read => (DeliveryState::Sent, String::new()),
    };
    tx.put(&Delivery { state: state_now, detail, receipt: Some(state), ..one })?;
    Ok(true)
}

/// Sending failed for good.
pub fn settle_failed(tx: &mut WriteTx<'_>, id: DeliveryId, detail: &str) -> Result<(), Error> {
    let Some(one) = sending(tx, id)? else { return Ok(()) };
    end(tx, one, DeliveryState::Failed, detail)
}

/// There is nothing left to send.
pub fn settle_needless(tx: &mut WriteTx<'_>, id: DeliveryId) -> Result<(), Error> {
    let Some(one) = sending(tx, id)? else { return Ok(()) };
    end(tx, one, DeliveryState::Suppressed, "")
}

/// Previews leave no trace: their rows are deleted with their messages.
fn drop_passing(tx: &mut WriteTx<'_>, one: &Delivery) -> Result<(), Error> {
    if let Payload::Removal(preview) = one.payload {
        tx.delete::<Delivery>(preview)?;
    }
    tx.delete::<Delivery>(one.id)?;
    Ok(())
}

/// Ends a delivery together with the parts after it: half an answer must not continue in the middle.
fn end(
    tx: &mut WriteTx<'_>,
    one: Delivery,
    state: DeliveryState,
    detail: &str,
) -> Result<(), Error> {
    match one.payload {
        Payload::Removal(_) => return drop_passing(tx, &one),
        // Kept until the run ends, so that it is not tried again.
        Payload::Preview(_) => {
            tx.put(&Delivery { state, ..one })?;
            return Ok(());
        }
        _ => {}
    }
    for later in queries::open_of_chat(tx, one.channel, &one.chat)? {
        if later.state == DeliveryState::Queued && is_after(&later, &one) {
            tx.put(&Delivery { state, detail: detail.to_owned(), ..later })?;
        }
    }
    let said = said_by(&one);
    tx.put(&Delivery { state, detail: detail.to_owned(), ..one })?;
    decide(tx, said)
}

/// Whether `later` is a later part of the same message.
fn is_after(later: &Delivery, one: &Delivery) -> bool {
    let message = |it: &Delivery| (it.channel, it.run, it.parts, it.created_at);
    message(later) == message(one) && later.chat == one.chat && one.part < later.part
}

/// The connection broke while sending. In a direct chat the message is sent once more, with a mark. In a room a person
/// decides, because everyone would see a repeat.
pub fn settle_unknown(tx: &mut WriteTx<'_>, id: DeliveryId) -> Result<(), Error> {
    let Some(one) = sending(tx, id)? else { return Ok(()) };
    let is_pressed = matches!(one.payload, Payload::Pressed { .. } | Payload::Update(_));
    let is_removal = matches!(one.payload, Payload::Removal(_));
    let is_preview = matches!(one.payload, Payload::Preview(_));
    if is_pressed || is_removal || (one.is_direct && !one.is_repeat && !is_preview) {
        let due_at = tx.now() + FIRST_PAUSE;
        tx.put(&Delivery { state: DeliveryState::Queued, is_repeat: true, due_at, ..one })?;
        return Ok(());
    }
    end(tx, one, DeliveryState::Unknown, "The connection broke while it was sent.")
}

/// Not sent: another attempt follows. `wait` is what the platform asks for. An attempt without
/// `is_counted` does not count.
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

/// Resends a delivery that failed, expired or may not have arrived, with the parts after it.
///
/// # Errors
/// If it was sent, or is still queued.
pub fn resend(tx: &mut WriteTx<'_>, id: DeliveryId) -> Result<(), Error> {
    let one = tx.get::<Delivery>(id)?.ok_or_else(gone)?;
    let is_silent = matches!(&one.payload, Payload::Text(text) if text.is_empty());
    let is_settled = one.state.is_open() || one.state == DeliveryState::Sent;
    if is_settled || is_silent || one.payload.is_passing() {
        let message = "it was sent already or is about to be sent";
        return Err(Error::new(ProblemKind::Conflict, "delivery_not_failed", message));
    }
    let is_repeat = one.state == DeliveryState::Unknown;
    let (due_at, expires_at) = (tx.now(), tx.now() + LASTS);
    let requeued = |one: Delivery, is_repeat: bool| {
        let (state, detail) = (DeliveryState::Queued, String::new());
        Delivery { state, detail, receipt: None, attempts: 0, is_repeat, due_at, expires_at, ..one }
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
