//! Decisions by tap: whoever is notified of an approval, a question, a review or a pairing request gets a card in their
//! direct chat. Person, role and chat are checked when a button is pressed.

use std::collections::HashSet;

use channel_adapters as adapters;
use features::deliverables::model::{Content, DELIVERABLES, Deliverable, Version};
use features::deliverables::queries as deliverables;
use features::deliverables::rules::{self as reviewing, NewReview};
use features::notifications::model::{Notification, Recipient};
use features::runs::model::{PARKS, Park, RUNS, Run};
use features::runs::queries::{elicit, park, questions, talk};
use features::runs::rules::park as answering;
use features::trust::model::{APPROVALS, Approval};
use features::trust::queries as trust;
use features::trust::rules::{self as deciding, Decision};
use features::workspace::queries as workspace;
use kernel::key::decode;
use kernel::text::ellipsis;
use kernel::{
    About, AccountId, AgentId, ApprovalAnswer, Can, ChannelId, DeliverableState, Error, NoticeKind,
    RunId, Timestamp, TypedId as _, Verdict,
};
use store::{Change, Range, ReadExt as _, Table, WriteTx};

use crate::model::{
    BY_SUBJECT, Card, CardId, Channel, Delivery, DeliveryState, Matter, Payload, Person, Subject,
};
use crate::queries;

use super::command::Context;
use super::outbox::{self, Place};
use super::pairing;

/// Maximum number of characters of the exact content on a card.
const MAX_SHOWN: usize = 1_200;
/// Maximum number of suggested answers on a card.
const MAX_OPTIONS: usize = 6;
/// After this time, a card is no longer sent. Decisions stay useful longer than answers.
const LASTS: jiff::SignedDuration = jiff::SignedDuration::from_hours(24);
const OVER: &str = "This was decided already.";
pub(super) const ELSEWHERE: &str = "Decisions aren’t possible here. Please decide in HQ.";
const BY_REPLY: &str = "Reply to this message to answer in your own words.";
const BY_VALUE: &str = "Press a button, or reply to this message with the answer only. Other messages are for the agent.";
const BY_FIELDS: &str = "Reply to this message with a line “field: answer” for each field, or answer in HQ. Other messages are for the agent.";
const BY_BUTTON: &str = "Press a button when you are done. Other messages are for the agent.";
const NO_FILES: &str = "An MCP server gets text only, so nothing was sent. Reply without files.";

/// A question before it has a card.
struct Offer {
    subject: Subject,
    agent: Option<AgentId>,
    text: String,
    choices: Vec<String>,
    path: String,
    /// An older card is about an earlier question of the same call.
    since: Option<Timestamp>,
}

/// Offers the decisions that a notification is about.
pub fn offer(
    tx: &mut WriteTx<'_>,
    row: &Recipient,
    notification: &Notification,
) -> Result<(), Error> {
    let Some(role) = workspace::member(tx, row.member)?.map(|member| member.role) else {
        return Ok(());
    };
    let mut offers = Vec::new();
    match (notification.kind, notification.about) {
        (NoticeKind::ApprovalRequested, About::Run(run)) => {
            let run = tx.get::<Run>(run)?;
            if let Some(run) =
                run.filter(|run| talk::may_see_run(tx, run, row.member, role).unwrap_or(false))
            {
                for approval in trust::all_waiting_of(tx, run.id)? {
                    offers.push(approval_offer(&approval, &run));
                }
            }
        }
        (NoticeKind::QuestionAsked, About::Run(run)) => {
            if let Some(run) = tx.get::<Run>(run)?
                && let Some(park) = park::question_of(tx, &run)?
                && talk::may_speak(tx, &run, row.member)?
            {
                offers.push(question_offer(&run, &park, &notification.title));
            }
        }
        (NoticeKind::DeliverableSubmitted, About::Task(task)) => {
            for piece in deliverables::pieces(tx, task)? {
                if piece.state == DeliverableState::InReview {
                    offers.push(review_offer(tx, &piece, &notification.title)?);
                }
            }
        }
        (NoticeKind::PairingRequested, About::Agent(agent)) => {
            offers.extend(pairing_offers(tx, agent)?);
        }
        _ => {}
    }
    for one in offers {
        if let Some((channel, person)) = address(tx, row.member, one.agent)? {
            send(tx, row.member, one, (channel, person.chat))?;
        }
    }
    Ok(())
}

/// Asks a question of a run in the direct chat whose message the run answers. Returns `false` if decisions are not allowed
/// there; the question is then a plain text.
pub(super) fn ask(
    tx: &mut WriteTx<'_>,
    (place, account): (&Place, AccountId),
    run: &Run,
    park: &Park,
) -> Result<bool, Error> {
    if !tx.get::<Channel>(place.channel)?.is_some_and(|channel| channel.may_decide) {
        return Ok(false);
    }
    let offer = question_offer(run, park, "");
    send(tx, account, offer, (place.channel, place.chat.clone()))?;
    Ok(true)
}

fn question_offer(run: &Run, park: &Park, title: &str) -> Offer {
    let title = if title.is_empty() { String::new() } else { format!("**{title}**\n\n") };
    let how = match park.asked.as_ref().map(|asked| (asked.url.is_some(), elicit::form(asked))) {
        None => BY_REPLY,
        Some((true, _)) => BY_BUTTON,
        Some((false, form)) if form.len() == 1 => BY_VALUE,
        Some((false, _)) => BY_FIELDS,
    };
    let text = format!("{title}{}\n\n{how}", asked_as_is(park));
    let choices = park.options.iter().take(MAX_OPTIONS).cloned().collect();
    let subject = Subject::Question(run.id, park.step);
    let path = format!("runs/{}", run.name());
    Offer { subject, agent: Some(run.agent), text, choices, path, since: Some(park.at) }
}

/// A question as Markdown. The words of a server are shown as they are: they could be links with another text.
pub(super) fn asked_as_is(park: &Park) -> String {
    let text = ellipsis(&park.question, MAX_SHOWN);
    match park.asked {
        Some(_) => format!("```\n{}\n```", text.replace("```", "'''")),
        None => text,
    }
}

fn approval_offer(approval: &Approval, run: &Run) -> Offer {
    let shown = questions::laid_open(&approval.plan.shown);
    let cut = ellipsis(&shown, MAX_SHOWN).replace("```", "'''");
    let rest = if cut.len() < shown.len() { "\n\nThe rest is in HQ." } else { "" };
    let text = format!(
        "**{} asks for approval** ({}, {})\n\n```\n{cut}\n```{rest}\n\n{}",
        run.name(),
        approval.tool,
        approval.risk.label().to_lowercase(),
        ellipsis(&approval.why, 300)
    );
    let mut choices = vec!["Allow once".to_owned(), "Deny".to_owned()];
    if !approval.offers.is_empty() {
        choices.push("Allow for this run".to_owned());
    }
    let subject = Subject::Approval(approval.id);
    let (agent, path) = (Some(approval.agent), "approvals".to_owned());
    Offer { subject, agent, text, choices, path, since: None }
}

fn review_offer(tx: &WriteTx<'_>, piece: &Deliverable, title: &str) -> Result<Offer, Error> {
    let version = tx.get::<Version>(piece.version)?;
    let content = match version.as_ref().map(|version| &version.content) {
        Some(Content::Text(text)) => ellipsis(text, MAX_SHOWN),
        _ => "The work is in HQ.".to_owned(),
    };
    let text = format!(
        "**{title}**\n\n{content}\n\nReply to this message with what should change, or decide here."
    );
    Ok(Offer {
        subject: Subject::Review(piece.id, piece.version),
        agent: piece.submitted_by.agent(),
        text,
        choices: vec!["Approve".to_owned()],
        path: "tasks".to_owned(),
        since: None,
    })
}

fn pairing_offers(tx: &WriteTx<'_>, agent: AgentId) -> Result<Vec<Offer>, Error> {
    let mut offers = Vec::new();
    for channel in queries::all(tx)?.into_iter().filter(|one| one.agent == Some(agent)) {
        for person in queries::people(tx, channel.id)? {
            if person.is_open_request(tx.now()) {
                let name = match person.handle.as_str() {
                    "" => person.name.clone(),
                    handle => format!("{} (@{handle})", person.name),
                };
                offers.push(Offer {
                    subject: Subject::Pairing(person.id),
                    agent: Some(agent),
                    text: format!("**{name} asks to write to {}.**", channel.name),
                    choices: vec!["Let in as guest".to_owned(), "Deny".to_owned()],
                    path: "settings/channel-people".to_owned(),
                    since: None,
                });
            }
        }
    }
    Ok(offers)
}

/// Sends a card to a person's direct chat, once.
fn send(
    tx: &mut WriteTx<'_>,
    account: AccountId,
    offer: Offer,
    (channel, chat): (ChannelId, String),
) -> Result<(), Error> {
    let known: Vec<Card> = tx.scan(BY_SUBJECT, &Range::prefix(offer.subject.key_for(account)))?;
    if known.iter().any(|card| offer.since.is_none_or(|since| since <= card.created_at)) {
        return Ok(());
    }
    let card: CardId = tx.new_id();
    let place = Place::direct(channel, &chat);
    let now = tx.now();
    let delivery = Delivery {
        expires_at: now + LASTS,
        ..outbox::new(tx, &place, Payload::Card(card), DeliveryState::Queued)
    };
    tx.put(&Card {
        id: card,
        channel,
        chat,
        account,
        subject: offer.subject,
        text: offer.text,
        choices: offer.choices,
        path: offer.path,
        delivery: delivery.id,
        outcome: None,
        created_at: now,
    })?;
    tx.put(&delivery)?;
    Ok(())
}

/// The direct chat of a member: with the asking agent's bot if there is one.
pub(super) fn address(
    tx: &WriteTx<'_>,
    account: AccountId,
    agent: Option<AgentId>,
) -> Result<Option<(ChannelId, Person)>, Error> {
    let mut found = Vec::new();
    for person in queries::people_of(tx, account)? {
        let channel = tx.get::<Channel>(person.channel)?;
        if let Some(channel) = channel.filter(|one| one.is_enabled && one.may_decide)
            && !person.chat.is_empty()
        {
            found.push((channel.agent != agent, channel.id, person));
        }
    }
    let nearest = found.into_iter().min_by_key(|(is_other, channel, _)| (*is_other, *channel));
    Ok(nearest.map(|(_, channel, person)| (channel, person)))
}

/// The open cards that these changes may have decided, and those for pairing requests, which also expire.
fn affected(tx: &WriteTx<'_>, changes: &[Change]) -> Result<Vec<Card>, Error> {
    let mut matters = HashSet::new();
    for change in changes {
        let table = change.table;
        let of = |known: Table| known.number == table;
        if of(APPROVALS) {
            matters.extend(decode(&change.key).map(Matter::Approval));
        } else if of(DELIVERABLES) {
            matters.extend(decode(&change.key).map(Matter::Review));
        } else if of(PARKS) {
            matters
                .extend(decode::<(RunId, u32)>(&change.key).map(|(run, _)| Matter::Question(run)));
        } else if of(RUNS)
            && let Some(run) = decode::<RunId>(&change.key)
        {
            matters.insert(Matter::Question(run));
            if !tx.get::<Run>(run)?.is_some_and(|run| run.is_live()) {
                let needless = trust::all_waiting_of(tx, run)?;
                matters.extend(needless.into_iter().map(|one| Matter::Approval(one.id)));
            }
        }
    }
    let mut cards = queries::open_pairing_cards(tx)?;
    for matter in matters {
        cards.extend(queries::open_cards_about(tx, matter)?);
    }
    Ok(cards)
}

/// Closes the open cards whose subject these changes decided elsewhere.
pub fn close_decided(tx: &mut WriteTx<'_>, changes: &[Change]) -> Result<(), Error> {
    for card in affected(tx, changes)? {
        if let Some(outcome) = outcome(tx, &card)? {
            close(tx, card, &outcome)?;
        }
    }
    Ok(())
}

/// How the subject of a card was decided; `None` while it is open.
fn outcome(tx: &WriteTx<'_>, card: &Card) -> Result<Option<String>, Error> {
    Ok(match card.subject {
        Subject::Approval(id) => match tx.get::<Approval>(id)? {
            None => Some("No longer needed".to_owned()),
            Some(approval) => match approval.answer {
                Some(answer) => Some(by(tx, answer.answer.label(), answer.by)?),
                None => {
                    let run = tx.get::<Run>(approval.run)?;
                    (!run.is_some_and(|run| run.is_live())).then(|| "No longer needed".to_owned())
                }
            },
        },
        Subject::Question(run, step) => {
            let park = match tx.get::<Run>(run)? {
                Some(run) => park::question_of(tx, &run)?,
                None => None,
            };
            // A call of an MCP server may ask again.
            let is_same = |park: Park| park.step == step && park.at <= card.created_at;
            (!park.is_some_and(is_same)).then(|| "Answered".to_owned())
        }
        Subject::Review(piece, version) => match tx.get::<Deliverable>(piece)? {
            Some(piece) if piece.version != version => Some("A newer version exists".to_owned()),
            Some(piece) if piece.state == DeliverableState::InReview => None,
            Some(piece) => Some(piece.state.label().to_owned()),
            None => Some("No longer needed".to_owned()),
        },
        Subject::Pairing(id) => match tx.get::<Person>(id)? {
            Some(person) if person.is_open_request(tx.now()) => None,
            Some(person) => Some(person.access.label().to_owned()),
            None => Some("No longer needed".to_owned()),
        },
    })
}

fn by(tx: &WriteTx<'_>, what: &str, account: Option<AccountId>) -> Result<String, Error> {
    let name = match account {
        Some(account) => workspace::known_person(tx, account)?.map(|member| member.name),
        None => None,
    };
    Ok(name.map_or_else(|| what.to_owned(), |name| format!("{what} by {name}")))
}

/// Closes a card and updates its message.
fn close(tx: &mut WriteTx<'_>, card: Card, outcome: &str) -> Result<(), Error> {
    let place = Place::direct(card.channel, &card.chat);
    let now = tx.now();
    let update = Delivery {
        expires_at: now + LASTS,
        ..outbox::new(tx, &place, Payload::Update(card.id), DeliveryState::Queued)
    };
    tx.put(&Card { outcome: Some(outcome.to_owned()), ..card })?;
    tx.put(&update)?;
    Ok(())
}

/// A button was pressed. The presser gets a note; a repeated press changes nothing.
pub fn pressed(
    tx: &mut WriteTx<'_>,
    cx: &Context,
    channel: ChannelId,
    press: &adapters::Press,
) -> Result<(), Error> {
    if tx.get::<Channel>(channel)?.is_none() {
        return Ok(());
    }
    let note = match card_of(tx, press)? {
        Some((card, choice)) => {
            let is_place = card.channel == channel && card.chat == press.place.chat;
            let is_person = tx.by().account() == Some(card.account);
            match is_place && is_person && tx.by() == queries::actor(tx, channel, &press.sender.id)?
            {
                true => decide(tx, cx, card, &Chosen::Button(choice))?,
                false => "Only the person who was asked can decide.".to_owned(),
            }
        }
        None => "This button is no longer in use.".to_owned(),
    };
    let place = Place::direct(channel, &press.place.chat);
    let payload = Payload::Pressed { press: press.id.clone(), note };
    let delivery = outbox::new(tx, &place, payload, DeliveryState::Queued);
    tx.put(&delivery)?;
    Ok(())
}

fn card_of(tx: &WriteTx<'_>, press: &adapters::Press) -> Result<Option<(Card, usize)>, Error> {
    let Some((id, choice)) = press.data.split_once(':') else { return Ok(None) };
    let (Ok(id), Ok(choice)) = (id.parse::<CardId>(), choice.parse::<usize>()) else {
        return Ok(None);
    };
    Ok(tx.get::<Card>(id)?.map(|card| (card, choice)))
}

/// The data of a card's button.
#[must_use]
pub fn button(card: CardId, choice: usize) -> String {
    format!("{}:{choice}", card.uuid())
}

/// The open card that a message replies to.
pub(super) fn replied(
    tx: &WriteTx<'_>,
    channel: ChannelId,
    message: &adapters::Message,
) -> Result<Option<Card>, Error> {
    let Some(reply_to) = &message.reply_to else { return Ok(None) };
    for card in queries::open_cards(tx, channel, &message.place.chat)? {
        let shown = tx.get::<Delivery>(card.delivery)?;
        if shown.is_some_and(|one| one.provider_id == *reply_to) {
            return Ok(Some(card));
        }
    }
    Ok(None)
}

/// A person's decision.
pub(super) enum Chosen<'a> {
    Button(usize),
    Words(&'a str),
    /// A reply with files.
    Files(&'a str),
}

impl Chosen<'_> {
    /// Files are refused where only text can be passed on; elsewhere they don't count.
    fn is_refused(&self, tx: &WriteTx<'_>, subject: Subject) -> Result<bool, Error> {
        let (Self::Files(_), Subject::Question(run, step)) = (self, subject) else {
            return Ok(false);
        };
        Ok(tx.get::<Park>((run, step))?.is_some_and(|park| park.asked.is_some()))
    }
}

/// Decides as the card's person. Returns the note for them.
pub(super) fn decide(
    tx: &mut WriteTx<'_>,
    cx: &Context,
    card: Card,
    chosen: &Chosen<'_>,
) -> Result<String, Error> {
    if card.outcome.is_some() {
        return Ok(OVER.to_owned());
    }
    if !tx.get::<Channel>(card.channel)?.is_some_and(|channel| channel.may_decide) {
        return Ok(ELSEWHERE.to_owned());
    }
    if let Some(outcome) = outcome(tx, &card)? {
        close(tx, card, &outcome)?;
        return Ok(OVER.to_owned());
    }
    if chosen.is_refused(tx, card.subject)? {
        return Ok(NO_FILES.to_owned());
    }
    let needed = match card.subject {
        Subject::Approval(_) => Can::Approve,
        Subject::Question(..) => Can::Chat,
        Subject::Review(..) => Can::Review,
        Subject::Pairing(_) => Can::Admin,
    };
    let role = workspace::member(tx, card.account)?.map(|member| member.role);
    if !role.is_some_and(|role| (cx.rights)(role).may(needed)) {
        return Ok(format!("You need the permission “{}”. Nothing changed.", needed.label()));
    }
    let done = tx.attempt(|tx| apply(tx, &card, chosen));
    match done {
        Ok(Some(what)) => {
            let account = card.account;
            let outcome = by(tx, &what, Some(account))?;
            close(tx, card, &outcome)?;
            Ok(what)
        }
        Ok(None) => Ok("Press one of the buttons to decide this.".to_owned()),
        Err(error) => Ok(kernel::text::capitalized(&error.to_string())),
    }
}

/// Applies a choice. Returns what was decided, or `None` if the subject cannot be decided with words.
fn apply(tx: &mut WriteTx<'_>, card: &Card, chosen: &Chosen<'_>) -> Result<Option<String>, Error> {
    let account = card.account;
    Ok(match (card.subject, chosen) {
        (Subject::Approval(id), Chosen::Button(choice)) => {
            let answer = match choice {
                0 => ApprovalAnswer::Once,
                1 => ApprovalAnswer::Denied,
                _ => ApprovalAnswer::Run,
            };
            let decision = Decision { answer, offer: 0, note: String::new() };
            deciding::decide(tx, id, decision, account).map_err(Error::of)?;
            Some(answer.label().to_owned())
        }
        (Subject::Question(run, _), chosen) => {
            let text = match chosen {
                Chosen::Button(choice) => card.choices.get(*choice).map(String::as_str),
                Chosen::Words(words) | Chosen::Files(words) => Some(*words),
            };
            match text {
                Some(text) => {
                    answering::answer(tx, run, text, account).map_err(Error::of)?;
                    Some("Answered".to_owned())
                }
                None => None,
            }
        }
        (Subject::Review(deliverable, version), chosen) => {
            let (verdict, note) = match chosen {
                Chosen::Button(_) => (Verdict::Approved, String::new()),
                Chosen::Words(words) | Chosen::Files(words) => {
                    (Verdict::ChangesRequested, (*words).to_owned())
                }
            };
            let review = NewReview { deliverable, version: Some(version), verdict, note };
            reviewing::review(tx, review).map_err(Error::of)?;
            Some(verdict.label().to_owned())
        }
        (Subject::Pairing(person), Chosen::Button(0)) => {
            pairing::approve(tx, person, None)?;
            Some("Let in as guest".to_owned())
        }
        (Subject::Pairing(person), Chosen::Button(_)) => {
            pairing::deny(tx, person)?;
            Some("Denied".to_owned())
        }
        // Words could mean either choice.
        (Subject::Pairing(_) | Subject::Approval(_), Chosen::Words(_) | Chosen::Files(_)) => None,
    })
}
