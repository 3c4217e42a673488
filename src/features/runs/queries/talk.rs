//! Whose conversation is which, and who may look at a run.

use std::cmp::Reverse;

use jiff::SignedDuration;

use crate::agents::model::Agent;
use crate::runs::model::{Attachment, EventKind, Input, Run, Session, SessionEvent};
use crate::workspace::queries as workspace;
use kernel::{AccountId, AgentId, InputId, Role, RunId, SessionId, Timestamp};
use store::{Read, ReadExt, StoreError};

use super::{last_events, marks, session_by_key, sessions, sessions_of_agent};

/// For how long it is not noted again that somebody looks at another person's conversation.
const NOTED: SignedDuration = SignedDuration::from_hours(1);
/// In how many of its last events that is looked for.
const LAST: usize = 200;

/// What stands before the id in the key of a session for a single API call whose run goes on without its
/// client.
const STAYS: &str = "stays-";

/// Whether a session's key says that it was made for a single API call: such sessions are not
/// listed.
#[must_use]
pub fn is_throw_away(key: &str) -> bool {
    single(key).is_some()
}

/// Whether a session's key says that it was made for a single API call whose run ends with the connection of
/// its client.
#[must_use]
pub fn is_bound(key: &str) -> bool {
    single(key).is_some_and(|(_, id, plain)| id == plain)
}

/// The key of a session for a single API call whose run does or does not end with the connection of its client;
/// nothing for any other session.
#[must_use]
pub fn bound_key(key: &str, bound: bool) -> Option<String> {
    let (before, _, plain) = single(key)?;
    let stays = if bound { "" } else { STAYS };
    Some(format!("{before}:explicit:{stays}{plain}"))
}

/// The parts of the key of a session for a single API call: what stands before its id, the id, and the id alone.
fn single(key: &str) -> Option<(&str, &str, &str)> {
    let (before, id) = key.split_once(":explicit:")?;
    let plain = id.strip_prefix(STAYS).unwrap_or(id);
    let is_id = plain.len() == 36 && uuid::Uuid::try_parse(plain).is_ok();
    is_id.then_some((before, id, plain))
}

/// The key of a person's own conversation with an agent: the owner has the main one, others have
/// one that carries their account. A second owner finds the main one taken.
pub fn own_key(
    tx: &dyn Read,
    agent: &Agent,
    account: AccountId,
    role: Role,
) -> Result<String, StoreError> {
    let [main, person] = own_keys(agent, account);
    let free = match session_by_key(tx, &main)? {
        Some(session) => session.owner == Some(account),
        None => true,
    };
    Ok(match role == Role::Owner && free {
        true => main,
        false => person,
    })
}

/// Whether a session's key is the place of a person's own conversation with an agent, and not that of
/// work or of a branch.
#[must_use]
pub fn is_place(key: &str) -> bool {
    let place = key.splitn(3, ':').nth(2).unwrap_or_default();
    place == "main" || (place.starts_with("person:") && !place.contains(":branch:"))
}

/// Whether a session's key is that of talk: the first conversation of a person with an agent, a further
/// one, or a branch of such; not that of work, of a program or of a part of a run.
#[must_use]
pub fn is_talk(key: &str) -> bool {
    let place = key.splitn(3, ':').nth(2).unwrap_or_default();
    let first = place.split(':').next().unwrap_or_default();
    matches!(first, "main" | "person" | "dashboard")
}

/// Whether a session's key is the place of a further conversation, and not that of a branch of one.
#[must_use]
pub fn is_further(key: &str) -> bool {
    let place = key.splitn(3, ':').nth(2).unwrap_or_default();
    place.starts_with("dashboard:") && !place.contains(":branch:")
}

/// The key of a further conversation with an agent.
#[must_use]
pub fn further_key(agent: &Agent, id: SessionId) -> String {
    format!("agent:{}:dashboard:{id}", agent.slug)
}

/// The conversation that goes on now in the place of this one, if it does and this person may speak there;
/// work and programs have places of their own.
pub fn goes_on(
    tx: &dyn Read,
    session: &Session,
    account: AccountId,
) -> Result<Option<Session>, StoreError> {
    if session.owner.is_none() || !is_talk(&session.key) {
        return Ok(None);
    }
    let now = session_by_key(tx, &session.key)?;
    Ok(now.filter(|now| now.owner == session.owner && now.admits(account)))
}

/// Where somebody speaks: the key, with whose it is. It is the place of their own conversation with an
/// agent, or that of another one that goes on and that they may speak in; nothing when there is none.
pub fn place_of(
    tx: &dyn Read,
    agent: &Agent,
    (account, role): (AccountId, Role),
    talk: Option<SessionId>,
) -> Result<Option<(String, AccountId)>, StoreError> {
    let Some(id) = talk else {
        return Ok(Some((own_key(tx, agent, account, role)?, account)));
    };
    let Some(session) = tx.get::<Session>(id)?.filter(|session| session.agent == agent.id) else {
        return Ok(None);
    };
    let now = goes_on(tx, &session, account)?;
    Ok(now.and_then(|now| Some((now.key, now.owner?))))
}

/// Whether this person may look at a session: work and what is shared is for all, private talk for its
/// owner and for those who run the workspace.
#[must_use]
pub fn may_see(session: &Session, account: AccountId, role: Role) -> bool {
    session.admits(account) || matches!(role, Role::Owner | Role::Admin)
}

/// A file of a message, if this person may look at the conversation.
pub fn attachment(
    tx: &dyn Read,
    (message, n): (InputId, usize),
    account: AccountId,
    role: Role,
) -> Result<Option<Attachment>, StoreError> {
    let Some(input) = tx.get::<Input>(message)? else { return Ok(None) };
    let session = tx.get::<Session>(input.session)?;
    let seen = session.is_some_and(|session| may_see(&session, account, role));
    Ok(input.attached.into_iter().nth(n).filter(|_| seen))
}

/// Whether this person may look at a run.
pub fn may_see_run(
    tx: &dyn Read,
    run: &Run,
    account: AccountId,
    role: Role,
) -> Result<bool, StoreError> {
    if run.item.is_some() || matches!(role, Role::Owner | Role::Admin) {
        return Ok(true);
    }
    let session = tx.get::<Session>(run.session)?;
    Ok(session.is_some_and(|session| may_see(&session, account, role)))
}

/// Whether this person may speak in the conversation of a run: in work and in what is shared everybody
/// may, in a private conversation only the one whose it is.
pub fn may_speak(tx: &dyn Read, run: &Run, account: AccountId) -> Result<bool, StoreError> {
    let session = tx.get::<Session>(run.session)?;
    Ok(session.is_some_and(|session| session.admits(account)))
}

/// Whether it is to be noted that this person looks at a conversation: it is somebody else's private one,
/// and it was not noted within the last hour.
pub fn must_note(
    tx: &dyn Read,
    session: SessionId,
    account: AccountId,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let Some(session) = tx.get::<Session>(session)? else { return Ok(false) };
    if session.admits(account) {
        return Ok(false);
    }
    let noted = |event: &SessionEvent| {
        let by = matches!(&event.kind, EventKind::Looked { by } if by.account() == Some(account));
        by && now < event.at + NOTED
    };
    Ok(!last_events(tx, session.id, LAST)?.iter().any(noted))
}

/// What a run is called in lists for somebody: of another person's own conversation only whose it is, since
/// the title of talk is what was said.
pub fn title_for(tx: &dyn Read, run: &Run, account: AccountId) -> Result<String, StoreError> {
    if run.item.is_some() {
        return Ok(run.title.clone());
    }
    let session = tx.get::<Session>(run.session)?.filter(Session::is_private);
    let owner = session.and_then(|session| session.owner);
    let Some(other) = owner.filter(|owner| *owner != account) else {
        return Ok(run.title.clone());
    };
    let member = workspace::member(tx, other)?;
    let name = member.map_or_else(|| "somebody who left".to_owned(), |member| member.name);
    Ok(format!("Private chat of {name}"))
}

/// Of some runs those that a person may look at, in their order.
pub fn seen(
    tx: &dyn Read,
    runs: impl IntoIterator<Item = Run>,
    (account, role): (AccountId, Role),
) -> Result<Vec<Run>, StoreError> {
    let mut kept = Vec::new();
    for run in runs {
        if may_see_run(tx, &run, account, role)? {
            kept.push(run);
        }
    }
    Ok(kept)
}

/// Whether a member may hear what a run writes just now.
pub fn may_hear(tx: &dyn Read, run: RunId, account: AccountId) -> Result<bool, StoreError> {
    let (Some(member), Some(run)) = (workspace::member(tx, account)?, tx.get::<Run>(run)?) else {
        return Ok(false);
    };
    may_see_run(tx, &run, account, member.role)
}

/// Whether what was said and done in another conversation may be told in this one: what is for all may be
/// told everywhere, what is private in private conversations of the same person.
#[must_use]
pub fn may_tell(own: &Session, other: &Session) -> bool {
    let private = own.is_private() && other.owner == own.owner;
    other.id == own.id || !other.is_private() || private
}

/// The same by their ids; nothing of a conversation that is gone is told.
pub fn may_tell_of(tx: &dyn Read, own: SessionId, other: SessionId) -> Result<bool, StoreError> {
    let (own, other) = (tx.get::<Session>(own)?, tx.get::<Session>(other)?);
    Ok(own.zip(other).is_some_and(|(own, other)| may_tell(&own, &other)))
}

/// How many conversations of an agent are looked at for those of one person: work on tasks and sub-agents
/// make far more of them than people do.
const LOOKED: usize = 5_000;

/// Of the newest conversations of an agent those that may be seen, newest first, and whether these were all.
pub fn newest(
    tx: &dyn Read,
    agent: AgentId,
    may: impl Fn(&Session) -> bool,
) -> Result<(Vec<Session>, bool), StoreError> {
    let mut all = sessions_of_agent(tx, agent, LOOKED)?;
    let complete = all.len() < LOOKED;
    all.retain(may);
    Ok((all, complete))
}

/// The conversations of an agent that a person may open from the chat: their own, former ones too, those
/// that are shared, and those about tasks. Where something was said last comes first. The own ones are not pushed out
/// by those about tasks, however many there are.
pub fn listed(
    tx: &dyn Read,
    agent: AgentId,
    account: AccountId,
    limit: usize,
) -> Result<Vec<Session>, StoreError> {
    let (mut all, complete) = newest(tx, agent, |s| sessions::is_listed(s, account))?;
    if !complete {
        // Work on tasks has come between; where they spoke is known.
        for id in marks::part_in(tx, account, agent)? {
            let known = all.iter().any(|known| known.id == id);
            let one = if known { None } else { tx.get::<Session>(id)? };
            all.extend(one.filter(|one| sessions::is_listed(one, account)));
        }
    }
    if let Some(agent) = tx.get::<Agent>(agent)? {
        // The one that goes on may be the oldest of all.
        for key in own_keys(&agent, account) {
            let own = session_by_key(tx, &key)?.filter(|s| s.owner == Some(account));
            all.extend(own.filter(|own| all.iter().all(|known| known.id != own.id)));
        }
    }
    all.sort_by_key(|session| Reverse(session.last_at));
    let (mut own, mut about): (Vec<_>, Vec<_>) =
        all.into_iter().partition(|session| session.owner.is_some());
    about.truncate(limit.saturating_sub(own.len()).max(limit / 3));
    own.truncate(limit - about.len());
    own.append(&mut about);
    own.sort_by_key(|session| Reverse(session.last_at));
    Ok(own)
}

/// The keys that a person's own conversation with an agent may have.
fn own_keys(agent: &Agent, account: AccountId) -> [String; 2] {
    [format!("agent:{}:main", agent.slug), format!("agent:{}:person:{account}", agent.slug)]
}

#[cfg(test)]
mod tests {
    use super::{bound_key, is_bound, is_throw_away};

    #[test]
    fn the_key_of_a_single_call_says_whether_its_run_ends_with_the_connection() {
        let key = "agent:ada:explicit:0190a0a0-0000-7000-8000-000000000000";
        assert!(is_throw_away(key) && is_bound(key));
        let stays = bound_key(key, false).expect("a key");
        assert!(is_throw_away(&stays) && !is_bound(&stays), "{stays}");
        assert_eq!(bound_key(&stays, true).as_deref(), Some(key));
        assert_eq!(bound_key(key, true).as_deref(), Some(key));
        for other in ["agent:ada:main", "agent:ada:explicit:key-0f3a", "agent:ada:explicit:stays-x"]
        {
            assert!(!is_throw_away(other) && !is_bound(other), "{other}");
            assert_eq!(bound_key(other, false), None);
        }
    }
}
