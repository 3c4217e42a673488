//! Notifications as messages: whoever wants a notification on a channel gets it once, in a direct chat.

use features::agents::model::Agent;
use features::notifications::model::{Notification, Recipient};
use features::notifications::queries as notices;
use features::routines::model::Routine;
use features::runs::model::Run;
use features::tasks::model::Task;
use kernel::key::KeyBuf;
use kernel::{
    About, AccountId, AgentId, Assignee, ChannelId, Error, NoticeKind, RunId, Timestamp, WaitFor,
};
use store::{Range, Read, ReadExt as _, StoreError, WriteTx};

use crate::model::{BY_NOTICE, Channel, Delivery, DeliveryState, Payload, Person};
use crate::queries;

use super::cards;
use super::outbox::{self, Place};
use super::said;

/// Sends a new row of a person who wants its kind on a channel. As with mail, merged notifications are one message.
pub fn notify(tx: &mut WriteTx<'_>, row: &Recipient) -> Result<(), Error> {
    if !notices::choices(tx, row.member)?.of(row.kind).channel {
        return Ok(());
    }
    let Some(notification) = tx.get::<Notification>(row.first)? else { return Ok(()) };
    if has_card(tx, row.member, &notification)? {
        return Ok(());
    }
    let text = match notification.body.as_str() {
        "" => format!("**{}**", notification.title),
        body => format!("**{}**\n\n{body}", notification.title),
    };
    send(tx, row.member, &notification, (&text, None))
}

/// Sends what an agent tells a person who wants that on a channel.
///
/// # Errors
/// If agents wrote too often there.
pub fn tell(
    tx: &mut WriteTx<'_>,
    account: AccountId,
    notification: &Notification,
    (markdown, run): (&str, RunId),
) -> Result<(), Error> {
    match notices::choices(tx, account)?.of(notification.kind).channel {
        true => send(tx, account, notification, (markdown, Some(run))),
        false => Ok(()),
    }
}

/// Sends a notification to a person in these words. Returns without effect if it went to them already, or if they have
/// no direct chat.
fn send(
    tx: &mut WriteTx<'_>,
    account: AccountId,
    notification: &Notification,
    (markdown, run): (&str, Option<RunId>),
) -> Result<(), Error> {
    let key = KeyBuf::of(&account).with(&notification.id);
    let known: Vec<Delivery> = tx.scan(BY_NOTICE, &Range::prefix(key).limit(1))?;
    if !known.is_empty() {
        return Ok(());
    }
    let agent = concerned(tx, notification)?;
    let Some((channel, person)) = chat_of(tx, account, agent)? else { return Ok(()) };
    let place = Place::direct(channel, &person.chat);
    match run {
        Some(_) => said::check_limit(tx, &place)?,
        // It is in HQ anyway.
        None if outbox::is_full(tx, &place)? => return Ok(()),
        None => {}
    }
    let notification = notification.id;
    let of = |text| Payload::Notice { account, notification, text };
    let expires_at = tx.now() + outbox::DAY;
    let like = outbox::new(tx, &place, of(String::new()), DeliveryState::Queued);
    outbox::queue_parts(tx, &Delivery { run, expires_at, ..like }, markdown, &of)
}

/// Whether the person gets a decision card for the notification.
fn has_card(
    tx: &WriteTx<'_>,
    account: AccountId,
    notification: &Notification,
) -> Result<bool, Error> {
    // Nobody answers a wait for a sign-in.
    let signs_in = |run: Run| run.waits_for() == Some(WaitFor::SignIn);
    if let (NoticeKind::QuestionAsked, About::Run(run)) = (notification.kind, notification.about)
        && tx.get::<Run>(run)?.is_some_and(signs_in)
    {
        return Ok(false);
    }
    let is_decision = matches!(
        (notification.kind, notification.about),
        (NoticeKind::ApprovalRequested | NoticeKind::QuestionAsked, About::Run(_))
            | (NoticeKind::DeliverableSubmitted, About::Task(_))
            | (NoticeKind::PairingRequested, About::Agent(_))
    );
    Ok(is_decision && cards::address(tx, account, None)?.is_some())
}

/// The agent that a notification is about or comes from.
fn concerned(read: &dyn Read, of: &Notification) -> Result<Option<AgentId>, StoreError> {
    if let Some(agent) = of.actor.agent() {
        return Ok(Some(agent));
    }
    Ok(match of.about {
        About::Agent(agent) => Some(agent),
        About::Run(run) => read.get::<Run>(run)?.map(|run| run.agent),
        About::Routine(routine) => read.get::<Routine>(routine)?.map(|routine| routine.agent),
        About::Task(task) => match read.get::<Task>(task)?.and_then(|task| task.assignee) {
            Some(Assignee::Agent(agent)) => read.get::<Agent>(agent)?.map(|agent| agent.id),
            _ => None,
        },
        _ => None,
    })
}

/// The direct chat of a member: with the agent's own bot if there is one, else the one that was used last.
pub fn chat_of(
    read: &dyn Read,
    account: AccountId,
    agent: Option<AgentId>,
) -> Result<Option<(ChannelId, Person)>, StoreError> {
    let mut best: Option<((bool, Timestamp), ChannelId, Person)> = None;
    for person in queries::people_of(read, account)? {
        let channel = read.get::<Channel>(person.channel)?;
        let channel = channel.filter(|channel| channel.is_enabled && channel.agent.is_some());
        let Some(channel) = channel.filter(|_| !person.chat.is_empty()) else { continue };
        if queries::account_of(read, &person)?.is_none() {
            continue;
        }
        let is_own = agent.is_some() && channel.agent == agent;
        let last = queries::recent(read, channel.id, &person.chat, 1)?;
        let used_at = last.first().map_or(person.updated_at, |message| message.received_at);
        let rank = (is_own, used_at.max(person.updated_at));
        if best.as_ref().is_none_or(|(known, ..)| *known < rank) {
            best = Some((rank, channel.id, person));
        }
    }
    Ok(best.map(|(_, channel, person)| (channel, person)))
}

/// Whether messages reach a person.
pub fn has_chat(read: &dyn Read, account: AccountId) -> Result<bool, StoreError> {
    Ok(chat_of(read, account, None)?.is_some())
}
