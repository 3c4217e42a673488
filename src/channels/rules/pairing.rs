//! Who may write to a channel: requests with a code, links of members, approval and removal.

use features::notifications::rules::settling as notifications;
use features::runs::rules::{RunError, talk};
use features::workspace::queries as workspace;
use jiff::SignedDuration;
use kernel::notice::Notice;
use kernel::{About, AccountId, ChannelId, Error, Event, NoticeKind, ProblemKind, TypedId as _};
use store::{ReadExt as _, WriteTx};

use crate::codes;
use crate::model::{
    Access, Card, Channel, ChannelPersonId, Delivery, DeliveryState, Kind, Message, PairLink,
    Person,
};
use crate::queries;

use super::limits::{self, ChatMember, WRONG_LINK};
use super::outbox::{self, Place};

/// Lifetime of codes and links.
const CODE_LASTS: SignedDuration = SignedDuration::from_hours(1);
/// Maximum number of open requests of a channel; other strangers get no code.
const MAX_OPEN: usize = 3;

/// A stranger in a direct chat.
pub struct Stranger<'a> {
    pub channel: ChannelId,
    pub sender: &'a channel_adapters::Sender,
    pub chat: &'a str,
    /// A fresh code, in case one is sent.
    pub code: &'a str,
}

/// Sends a code, at most one an hour. Returns the verdict on the message.
pub fn open_request(tx: &mut WriteTx<'_>, from: &Stranger<'_>) -> Result<&'static str, Error> {
    let now = tx.now();
    let people = queries::people(tx, from.channel)?;
    let known = people.iter().find(|person| person.sender == from.sender.id);
    if known.is_some_and(|person| person.access == Access::Denied) {
        return Ok("denied");
    }
    if known.is_some_and(|person| person.is_open_request(now)) {
        return Ok("waits for approval");
    }
    let is_open = |person: &&Person| person.is_open_request(now);
    if MAX_OPEN <= people.iter().filter(is_open).count() {
        return Ok("too many open requests");
    }
    let old = known.cloned();
    tx.put(&Person {
        access: Access::Requested,
        account: None,
        code_hash: codes::hash(from.code),
        code_expires_at: Some(now + CODE_LASTS),
        ..described(tx, from, old)
    })?;
    let code = format!("{}-{}", &from.code[..4], &from.code[4..]);
    let text = format!(
        "I don’t know you yet. Ask an admin to approve this code in HQ within an hour: \
         `{code}`\n\nThen write to me again."
    );
    let place = Place::direct(from.channel, from.chat);
    outbox::queue(tx, &place, &text, None)?;
    notify(tx, from)?;
    Ok("code sent")
}

fn notify(tx: &mut WriteTx<'_>, from: &Stranger<'_>) -> Result<(), Error> {
    let Some(channel) = tx.get::<Channel>(from.channel)? else { return Ok(()) };
    let Some(agent) = channel.agent else { return Ok(()) };
    let name: String = kernel::text::one_line(&from.sender.name).chars().take(100).collect();
    let title = format!("{name} asks to write to {}", channel.name);
    let notice = Notice::new(NoticeKind::PairingRequested, About::Agent(agent), title);
    let body =
        format!("Approve the request in Settings → Channels → People ({}).", channel.kind.label());
    tx.emit(Event::NoticeGiven { notice: notice.body(body).or_admins() });
    Ok(())
}

/// The person's row with the sender's current names.
fn described(tx: &WriteTx<'_>, from: &Stranger<'_>, old: Option<Person>) -> Person {
    let now = tx.now();
    let old = old.unwrap_or_else(|| Person {
        id: tx.new_id(),
        channel: from.channel,
        sender: from.sender.id.clone(),
        name: String::new(),
        handle: String::new(),
        chat: String::new(),
        access: Access::Requested,
        account: None,
        code_hash: String::new(),
        code_expires_at: None,
        guesses: 0,
        created_at: now,
        updated_at: now,
    });
    Person {
        name: kernel::text::one_line(&from.sender.name).chars().take(100).collect(),
        handle: kernel::text::one_line(&from.sender.handle).chars().take(100).collect(),
        chat: from.chat.to_owned(),
        updated_at: now,
        ..old
    }
}

/// Pairs a stranger with the member whose link they opened. Returns the verdict on the message.
pub fn pair_by_link(
    tx: &mut WriteTx<'_>,
    from: &Stranger<'_>,
    code: &str,
) -> Result<String, Error> {
    let old = queries::person(tx, from.channel, &from.sender.id)?;
    if old.as_ref().is_some_and(|one| one.access == Access::Denied) {
        return Ok("denied".to_owned());
    }
    let place = Place::direct(from.channel, from.chat);
    let who = ChatMember { channel: from.channel, chat: from.chat, sender: &from.sender.id };
    let link = match limits::are_guesses_used(tx, who, tx.now())? {
        true => None,
        false => tx.get::<PairLink>(codes::link_id(code))?,
    };
    let link = link.filter(|link| link.channel == from.channel && tx.now() < link.expires_at);
    let Some(link) = link else {
        let text = "This link is no longer valid. Make a new one in HQ, in Settings → Channels.";
        return limits::note(tx, &place, WRONG_LINK, text);
    };
    tx.delete::<PairLink>(link.id)?;
    let Some(member) = workspace::member(tx, link.account)? else {
        return Ok("no longer a member".to_owned());
    };
    let person = described(tx, from, old);
    tx.put(&member_of(person, link.account))?;
    settle(tx, from.channel)?;
    let text = format!("You’re connected as {}. What can I do for you?", member.name);
    outbox::queue(tx, &place, &text, None)?;
    Ok("connected by link".to_owned())
}

fn member_of(person: Person, account: AccountId) -> Person {
    Person {
        access: Access::Member,
        account: Some(account),
        code_hash: String::new(),
        code_expires_at: None,
        guesses: 0,
        ..person
    }
}

/// Makes a link for the acting member, or a line that they send to the bot. `code` is random.
///
/// # Errors
/// If the channel does not exist, or a program without a member asks.
pub fn link(tx: &mut WriteTx<'_>, channel: ChannelId, code: &str) -> Result<String, Error> {
    let channel = tx.get::<Channel>(channel)?.ok_or_else(no_channel)?;
    let account = tx.by().account().ok_or_else(|| {
        let message = "only a member can connect their own account; sign in first";
        Error::new(ProblemKind::Forbidden, "not_a_member", message)
    })?;
    let expires_at = tx.now() + CODE_LASTS;
    tx.put(&PairLink { id: codes::link_id(code), channel: channel.id, account, expires_at })?;
    Ok(match channel.kind {
        // Only Telegram's links carry a code.
        Kind::Telegram if !channel.link.is_empty() => channel.link.replace("{code}", code),
        // Slack keeps a text that begins with a slash for itself.
        Kind::Slack => format!("/hq start {code}"),
        Kind::Telegram | Kind::Discord | Kind::Webhook => format!("/start {code}"),
    })
}

fn no_channel() -> Error {
    Error::new(ProblemKind::NotFound, "channel_not_found", "there is no such channel")
}

/// Grants access: as a guest, or as the member `account`. Nobody grants more than they have.
///
/// # Errors
/// If the request is gone, or the role of the member is above that of the acting person.
pub fn approve(
    tx: &mut WriteTx<'_>,
    id: ChannelPersonId,
    account: Option<AccountId>,
) -> Result<Person, Error> {
    let person = tx.get::<Person>(id)?.ok_or_else(gone)?;
    let text = match account {
        Some(account) => {
            let member = workspace::member(tx, account)?
                .ok_or_else(|| Error::field("as", "This person is not a member."))?;
            if let Some(by) = tx.by().account() {
                let own = workspace::member(tx, by)?.map(|own| own.role);
                if !own.is_some_and(|own| by == account || workspace::may_give(own, member.role)) {
                    let message = "This person’s role is above yours. Ask an owner to approve.";
                    return Err(Error::field("as", message));
                }
            }
            format!("You’re connected as {}. What can I do for you?", member.name)
        }
        None => "You can write to me now, as a guest.".to_owned(),
    };
    if person.account.is_some() && person.account != account {
        revoke(tx, &person)?;
    }
    let person = Person { updated_at: tx.now(), ..person };
    let approved = match account {
        Some(account) => member_of(person, account),
        None => {
            Person { access: Access::Guest, ..member_of(person, AccountId::from_bytes([0; 16])) }
        }
    };
    let approved = Person { account, ..approved };
    tx.put(&approved)?;
    settle(tx, approved.channel)?;
    let place = Place::direct(approved.channel, &approved.chat);
    outbox::queue(tx, &place, &text, None)?;
    Ok(approved)
}

/// Marks the notifications of requests as read once none is open.
fn settle(tx: &mut WriteTx<'_>, channel: ChannelId) -> Result<(), Error> {
    let Some(agent) = tx.get::<Channel>(channel)?.and_then(|channel| channel.agent) else {
        return Ok(());
    };
    let own = queries::access_requests(tx, tx.now())?;
    if own.iter().any(|one| one.agent == Some(agent)) {
        return Ok(());
    }
    notifications::settle(tx, About::Agent(agent), NoticeKind::PairingRequested).map_err(Error::of)
}

/// Cancels everything pending of a person who loses access: unread messages, answers and open cards.
pub fn revoke(tx: &mut WriteTx<'_>, person: &Person) -> Result<(), Error> {
    for message in queries::awaiting_from(tx, person.channel, &person.sender)? {
        if let Some(input) = message.input {
            match talk::revoke(tx, input) {
                Ok(()) | Err(RunError::Consumed | RunError::NotFound(_)) => {}
                Err(error) => return Err(Error::of(error)),
            }
            tx.put(&Message { is_awaiting: false, ..message })?;
        }
    }
    for delivery in queries::open_of_chat(tx, person.channel, &person.chat)? {
        // The removal of a preview is still due.
        if delivery.state == DeliveryState::Queued && !delivery.payload.is_passing() {
            tx.put(&Delivery { state: DeliveryState::Suppressed, ..delivery })?;
        }
    }
    for card in queries::open_cards(tx, person.channel, &person.chat)? {
        tx.put(&Card { outcome: Some("No longer needed".to_owned()), ..card })?;
    }
    Ok(())
}

/// Refuses a request, or blocks a person. They get no more answers.
pub fn deny(tx: &mut WriteTx<'_>, id: ChannelPersonId) -> Result<Person, Error> {
    let person = tx.get::<Person>(id)?.ok_or_else(gone)?;
    revoke(tx, &person)?;
    let denied = Person {
        access: Access::Denied,
        account: None,
        code_hash: String::new(),
        code_expires_at: None,
        updated_at: tx.now(),
        ..person
    };
    tx.put(&denied)?;
    settle(tx, denied.channel)?;
    Ok(denied)
}

fn gone() -> Error {
    let message = "this request no longer exists; the person can write to the bot again";
    Error::new(ProblemKind::NotFound, "channel_person_not_found", message)
}
