//! Reads of the workspace: settings, members, names of actors.

pub mod modules;

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::tz::TimeZone;

use app::{App, Ws};
use crypto::token::Token;
use kernel::key::KeyBuf;
use kernel::{AccountId, Role, Timestamp, text};
use store::{Range, Read, ReadExt, StoreError};

use super::model::{
    Handover, INVITE_BY_PUBLIC, Invite, InviteSecret, MEMBERS, Member, People, SETTINGS, Settings,
};
use super::rules::WorkspaceError;
use super::rules::members::Shut;

/// The settings, if the workspace was founded.
pub fn settings(read: &dyn Read) -> Result<Option<Settings>, StoreError> {
    read.get::<Settings>(())
}

/// The settings with the rev that guards a change of them.
pub fn settings_rev(read: &dyn Read) -> Result<Option<(Settings, u64)>, StoreError> {
    read.get_rev::<Settings>(())
}

/// A person who belongs to the workspace now.
pub fn member(read: &dyn Read, account: AccountId) -> Result<Option<Member>, StoreError> {
    Ok(read.get::<Member>(account)?.filter(|member| member.left_at.is_none()))
}

/// A person who belongs or belonged to the workspace, to name them in history.
pub fn known_person(read: &dyn Read, account: AccountId) -> Result<Option<Member>, StoreError> {
    read.get::<Member>(account)
}

/// Everybody who belongs to the workspace, oldest member first.
pub fn members(read: &dyn Read) -> Result<Vec<Member>, StoreError> {
    let all = read.list::<Member>(&Range::all())?;
    Ok(all.into_iter().filter(|member| member.left_at.is_none()).collect())
}

/// The open workspaces that a person belongs to, by name, with what they are there.
pub fn places(app: &App, account: AccountId) -> Result<Vec<PlaceOf>, StoreError> {
    let all: Vec<Ws> = app.workspaces.read().clone();
    let mut mine = Vec::new();
    for ws in all {
        let crew = match crew(&ws) {
            Ok(crew) => crew,
            // One that cannot be read must not close the others.
            Err(error) => {
                tracing::warn!(workspace = ws.slug, %error, "it cannot be read");
                continue;
            }
        };
        let place = crew.members.get(&account).cloned().zip(crew.settings.clone());
        mine.extend(place.map(|(member, settings)| PlaceOf { ws, member, settings }));
    }
    mine.sort_by_cached_key(|place| (place.settings.name.to_lowercase(), place.ws.id));
    Ok(mine)
}

/// The settings and the people of a workspace, kept in memory: every request of a browser asks all
/// workspaces whether its person belongs to them.
#[derive(Debug, Default)]
pub struct Crew {
    /// The settings, if it was founded.
    pub settings: Option<Settings>,
    /// Who belongs to it now.
    pub members: BTreeMap<AccountId, Member>,
}

/// The people of a workspace, as they are now.
pub fn crew(ws: &Ws) -> Result<Arc<Crew>, StoreError> {
    ws.people.get(&ws.store, &[SETTINGS.number, MEMBERS.number], |snap| {
        let members = members(snap)?.into_iter().map(|one| (one.account, one)).collect();
        Ok(Crew { settings: settings(snap)?, members })
    })
}

/// A workspace as one of its people has it.
pub struct PlaceOf {
    /// The workspace.
    pub ws: Ws,
    /// The person there.
    pub member: Member,
    pub settings: Settings,
}

/// The first owner.
pub fn owner(read: &dyn Read) -> Result<Option<Member>, StoreError> {
    Ok(members(read)?.into_iter().find(|member| member.role == Role::Owner))
}

/// The owners who can sign in.
pub fn open_owners<'a>(
    read: &dyn Read,
    shut: &'a Shut,
) -> Result<impl Iterator<Item = Member> + use<'a>, StoreError> {
    let counts = |one: &Member| one.role == Role::Owner && !shut.contains_key(&one.account);
    Ok(members(read)?.into_iter().filter(counts))
}

/// Whether somebody else owns the workspace who can sign in.
pub fn has_other_owner(read: &dyn Read, than: AccountId, shut: &Shut) -> Result<bool, StoreError> {
    Ok(open_owners(read, shut)?.any(|one| one.account != than))
}

/// Handovers that are not done yet.
pub fn handovers(read: &dyn Read) -> Result<Vec<Handover>, StoreError> {
    read.list(&Range::all())
}

/// The invitations that were neither used nor withdrawn and whose time is not over, oldest first. Not all of
/// them open anything: see [`open_invites`].
pub fn left_invites(read: &dyn Read, now: Timestamp) -> Result<Vec<Invite>, StoreError> {
    let all = read.list::<Invite>(&Range::all())?;
    Ok(all.into_iter().filter(|one| one.ended_at.is_none() && now < one.expires_at).collect())
}

/// The invitations that were taken for an account and not used up since.
pub fn taken_invites(read: &dyn Read) -> Result<Vec<Invite>, StoreError> {
    let all = read.list::<Invite>(&Range::all())?;
    Ok(all.into_iter().filter(|one| one.ended_at.is_none() && one.used_by.is_some()).collect())
}

/// The open invitations, oldest first: not those of hosts who have left or may not invite so any more.
pub fn open_invites(read: &dyn Read, now: Timestamp) -> Result<Vec<Invite>, StoreError> {
    let mut open = left_invites(read, now)?;
    if !open.is_empty() {
        let hosts = members(read)?;
        let host = |invite: &Invite| hosts.iter().find(|host| host.account == invite.by);
        open.retain(|invite| is_backed(invite, host(invite)));
    }
    Ok(open)
}

/// Whether whoever made an invitation, as they are now, could still give what it gives.
fn is_backed(invite: &Invite, host: Option<&Member>) -> bool {
    host.is_some_and(|host| may_give(host.role, invite.role))
}

/// The invitation of a token, if it is still good.
pub fn invite(
    read: &dyn Read,
    token: &Token,
    now: Timestamp,
) -> Result<Option<Invite>, StoreError> {
    let mut key = KeyBuf::new();
    key.text(token.id());
    let found = read.find::<Invite>(INVITE_BY_PUBLIC, &key)?;
    let Some(invite) = found.filter(|one| now < one.expires_at) else { return Ok(None) };
    let right = read.get::<InviteSecret>(invite.id)?.is_some_and(|kept| kept.hash == token.hash());
    let host = member(read, invite.by)?;
    Ok((right && is_backed(&invite, host.as_ref())).then_some(invite))
}

/// Whether an invitation is open that calls itself as this token does, be the rest of it right or not.
pub fn has_invite(read: &dyn Read, token: &Token) -> Result<bool, StoreError> {
    let mut key = KeyBuf::new();
    key.text(token.id());
    Ok(read.find::<Invite>(INVITE_BY_PUBLIC, &key)?.is_some())
}

/// Whether somebody with a role may give another one, or touch who has it.
#[must_use]
pub fn may_give(own: Role, role: Role) -> bool {
    matches!(
        (own, role),
        (Role::Owner, _) | (Role::Admin, Role::Admin | Role::Member | Role::Viewer)
    )
}

/// What is asked of the people of the workspace.
pub fn people(read: &dyn Read) -> Result<People, StoreError> {
    Ok(read.get::<People>(())?.unwrap_or_default())
}

/// Letters for task numbers from a name: initials, or the first letters of one word.
#[must_use]
pub fn proposed_key(name: &str) -> String {
    let slug = text::slug(name, 200);
    let words: Vec<&str> =
        slug.split('-').filter(|w| w.starts_with(|c: char| c.is_ascii_alphabetic())).collect();
    let letters: String = match words.as_slice() {
        [one] => one.chars().filter(char::is_ascii_alphabetic).take(3).collect(),
        many => many.iter().filter_map(|word| word.chars().next()).take(5).collect(),
    };
    if letters.len() < 2 { "HQ".to_owned() } else { letters.to_uppercase() }
}

/// The name of a workspace.
pub fn checked_name(name: &str) -> Result<String, WorkspaceError> {
    let name = name.trim();
    if name.is_empty() || 80 < name.chars().count() || name.chars().any(char::is_control) {
        return Err(WorkspaceError::field(
            "workspace",
            "write a name for the workspace, 1 to 80 characters",
        ));
    }
    Ok(name.to_owned())
}

/// The name of a member.
///
/// # Errors
/// When it is empty, too long or holds control characters.
pub fn checked_member_name(name: &str) -> Result<String, WorkspaceError> {
    let name = name.trim();
    if name.is_empty() || 80 < name.chars().count() || name.chars().any(char::is_control) {
        return Err(WorkspaceError::field("name", "write a name of 1 to 80 characters"));
    }
    Ok(name.to_owned())
}

/// An IANA time zone.
pub fn checked_zone(zone: &str) -> Result<String, WorkspaceError> {
    let zone = zone.trim();
    TimeZone::get(zone).map_err(|_| {
        WorkspaceError::field("zone", "write a time zone like Europe/Berlin or UTC")
    })?;
    Ok(zone.to_owned())
}

#[cfg(test)]
mod tests {
    use super::proposed_key;

    #[test]
    fn task_keys_come_from_the_name() {
        assert_eq!(proposed_key("Marlow Cargo"), "MC");
        assert_eq!(proposed_key("Acme"), "ACM");
        assert_eq!(proposed_key("The Great Big Bakery of Old Town"), "TGBBO");
        assert_eq!(proposed_key("7"), "HQ");
        assert_eq!(proposed_key("日本"), "HQ");
    }
}
