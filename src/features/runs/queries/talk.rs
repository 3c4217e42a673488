//! Ownership of conversations, and who may view a run or speak in it.

use std::cmp::Reverse;

use jiff::SignedDuration;

use crate::agents::model::Agent;
use crate::runs::model::{Attachment, EventKind, Input, Run, Session, SessionEvent};
use crate::workspace::queries as workspace;
use kernel::{AccountId, AgentId, InputId, Role, RunId, SessionId, Timestamp};
use store::{Read, ReadExt, StoreError};

use super::{last_events, marks, session_by_key, sessions, sessions_of_agent};

/// Interval during which repeated views of another person's conversation are recorded once.
const NOTED: SignedDuration = SignedDuration::from_hours(1);
/// Number of latest events searched for such a record.
const LAST: usize = 200;

/// Id prefix in the session key of a single API call whose run continues without its client.
const STAYS: &str = "stays-";

/// Whether a session key belongs to a single API call. Such sessions are not listed.
#[must_use]
pub fn is_throw_away(key: &str) -> bool {
    single(key).is_some()
}

/// Whether a session key belongs to a single API call whose run ends with the client's connection.
#[must_use]
pub fn is_bound(key: &str) -> bool {
    single(key).is_some_and(|(_, id, plain)| id == plain)
}

/// The key of a single API call's session, with (`bound`) or without a run that ends with the client's connection;
/// `None` for any other session.
#[must_use]
pub fn bound_key(key: &str, bound: bool) -> Option<String> {
    let (before, _, plain) = single(key)?;
    let stays = if bound { "" } else { STAYS };
    Some(format!("{before}:explicit:{stays}{plain}"))
}

/// Parts of the session key of a single API call: the prefix before the id, the id as stored, and the plain id.
fn single(key: &str) -> Option<(&str, &str, &str)> {
    let (before, id) = key.split_once(":explicit:")?;
    let plain = id.strip_prefix(STAYS).unwrap_or(id);
    let is_id = plain.len() == 36 && uuid::Uuid::try_parse(plain).is_ok();
    is_id.then_some((before, id, plain))
}

/// Key of a person's own conversation with an agent. The owner has the main conversation. Others, and a second owner
/// who finds it taken, have a key with their account.
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

/// Whether a key is that of a person's own conversation with an agent, not that of work or of a branch.
#[must_use]
pub fn is_place(key: &str) -> bool {
    let place = key.splitn(3, ':').nth(2).unwrap_or_default();
    place == "main" || (place.starts_with("person:") && !place.contains(":branch:"))
}

/// Whether a key is that of a chat: a person's own conversation, a further one or a branch of these. Not that of
/// work, an API client or a part of a run.
#[must_use]
pub fn is_talk(key: &str) -> bool {
    let place = key.splitn(3, ':').nth(2).unwrap_or_default();
    let first = place.split(':').next().unwrap_or_default();
    matches!(first, "main" | "person" | "dashboard")
}

/// Whether a key is that of a further conversation, not that of a branch.
#[must_use]
pub fn is_further(key: &str) -> bool {
    let place = key.splitn(3, ':').nth(2).unwrap_or_default();
    place.starts_with("dashboard:") && !place.contains(":branch:")
}

/// Key of a further conversation with an agent.
#[must_use]
pub fn further_key(agent: &Agent, id: SessionId) -> String {
    format!("agent:{}:dashboard:{id}", agent.slug)
}

/// The current conversation under the key of this one, if the person may speak in it; `None` for work and API
/// clients.
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

/// Key and owner of the conversation in which a person speaks: their own with the agent, or the current one in place
/// of `talk`; `None` if there is none.
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

/// Whether a person may view a session. Work and shared conversations are open to all. Private ones are open to their
/// owner and to owners and admins of the workspace.
#[must_use]
pub fn may_see(session: &Session, account: AccountId, role: Role) -> bool {
    session.admits(account) || matches!(role, Role::Owner | Role::Admin)
}

/// A file of a message, if the person may view the conversation.
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

/// Whether the person may view a run.
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

/// Whether the person may speak in the conversation of a run: anybody in work and shared conversations, only the
/// owner in a private one.
pub fn may_speak(tx: &dyn Read, run: &Run, account: AccountId) -> Result<bool, StoreError> {
    let session = tx.get::<Session>(run.session)?;
    Ok(session.is_some_and(|session| session.admits(account)))
}

/// Whether a view must be recorded: the conversation is another person's private one, and no view was recorded within
/// the last hour.
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

/// Title of a run in a person's lists. For another person's private chat only the owner's name, because the title of
/// a chat quotes its messages.
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
    let name = member.map_or_else(|| "a former member".to_owned(), |member| member.name);
    Ok(format!("{name}’s private chat"))
}

/// Filters runs to those that a person may view. Keeps the order.
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

/// Whether a member may receive the live output of a run.
pub fn may_hear(tx: &dyn Read, run: RunId, account: AccountId) -> Result<bool, StoreError> {
    let (Some(member), Some(run)) = (workspace::member(tx, account)?, tx.get::<Run>(run)?) else {
        return Ok(false);
    };
    may_see_run(tx, &run, account, member.role)
}

/// Whether content of `other` may be used in `own`. Public content may be used everywhere, private content only in
/// private conversations of the same person.
#[must_use]
pub fn may_tell(own: &Session, other: &Session) -> bool {
    let private = own.is_private() && other.owner == own.owner;
    other.id == own.id || !other.is_private() || private
}

/// Like [`may_tell`], by id; `false` if a conversation is gone.
pub fn may_tell_of(tx: &dyn Read, own: SessionId, other: SessionId) -> Result<bool, StoreError> {
    let (own, other) = (tx.get::<Session>(own)?, tx.get::<Session>(other)?);
    Ok(own.zip(other).is_some_and(|(own, other)| may_tell(&own, &other)))
}

/// Maximum number of an agent's sessions searched for those of one person. Work on tasks and sub-agents create far
/// more sessions than people do.
const LOOKED: usize = 5_000;

/// The newest sessions of an agent that pass `may`, newest first, and whether all sessions were searched.
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

/// The conversations of an agent that a person may open from the chat: own (also former), shared and task
/// conversations, latest activity first. Task conversations never push out the person's own.
pub fn listed(
    tx: &dyn Read,
    agent: AgentId,
    account: AccountId,
    limit: usize,
) -> Result<Vec<Session>, StoreError> {
    let (mut all, complete) = newest(tx, agent, |s| sessions::is_listed(s, account))?;
    if !complete {
        // Work on tasks has filled the window, but the conversations in which the person spoke are recorded.
        for id in marks::part_in(tx, account, agent)? {
            let known = all.iter().any(|known| known.id == id);
            let one = if known { None } else { tx.get::<Session>(id)? };
            all.extend(one.filter(|one| sessions::is_listed(one, account)));
        }
    }
    if let Some(agent) = tx.get::<Agent>(agent)? {
        // The current conversation may be the oldest of all.
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

/// Possible keys of a person's own conversation with an agent.
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
