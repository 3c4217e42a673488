//! Reads of the workspace: settings, members, invitations.

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
    Brand, Handover, INVITE_BY_PUBLIC, Invite, InviteSecret, MEMBERS, Member, People, SETTINGS,
    Settings,
};
use super::rules::WorkspaceError;
use super::rules::members::Shut;

/// Settings, if the workspace was founded.
pub fn settings(read: &dyn Read) -> Result<Option<Settings>, StoreError> {
    read.get::<Settings>(())
}

/// Settings and their revision.
pub fn settings_rev(read: &dyn Read) -> Result<Option<(Settings, u64)>, StoreError> {
    read.get_rev::<Settings>(())
}

/// The brand colour, if one was chosen.
pub fn brand(read: &dyn Read) -> Result<Option<Brand>, StoreError> {
    read.get::<Brand>(())
}

/// A current member.
pub fn member(read: &dyn Read, account: AccountId) -> Result<Option<Member>, StoreError> {
    Ok(read.get::<Member>(account)?.filter(|member| member.left_at.is_none()))
}

/// A current or former member, for display in history.
pub fn known_person(read: &dyn Read, account: AccountId) -> Result<Option<Member>, StoreError> {
    read.get::<Member>(account)
}

/// Current members, oldest membership first.
pub fn members(read: &dyn Read) -> Result<Vec<Member>, StoreError> {
    let all = read.list::<Member>(&Range::all())?;
    Ok(all.into_iter().filter(|member| member.left_at.is_none()).collect())
}

/// Open workspaces of an account, by name, with the membership.
pub fn places(app: &App, account: AccountId) -> Result<Vec<PlaceOf>, StoreError> {
    let all: Vec<Ws> = app.workspaces.read().clone();
    let mut mine = Vec::new();
    for ws in all {
        let crew = match crew(&ws) {
            Ok(crew) => crew,
            // An unreadable workspace must not block the others.
            Err(error) => {
                tracing::warn!(workspace = ws.slug, %error, "it can’t be read");
                continue;
            }
        };
        let place = crew.members.get(&account).cloned().zip(crew.settings.clone());
        mine.extend(place.map(|(member, settings)| PlaceOf { ws, member, settings }));
    }
    mine.sort_by_cached_key(|place| (place.settings.name.to_lowercase(), place.ws.id));
    Ok(mine)
}

/// Cached settings and members of a workspace. Every browser request checks all workspaces for the person's membership.
#[derive(Debug, Default)]
pub struct Crew {
    /// `None` before founding.
    pub settings: Option<Settings>,
    /// Current members.
    pub members: BTreeMap<AccountId, Member>,
}

/// Current settings and members, from the cache.
pub fn crew(ws: &Ws) -> Result<Arc<Crew>, StoreError> {
    ws.people.get(&ws.store, &[SETTINGS.number, MEMBERS.number], |snap| {
        let members = members(snap)?.into_iter().map(|one| (one.account, one)).collect();
        Ok(Crew { settings: settings(snap)?, members })
    })
}

/// A workspace and a person's membership in it.
pub struct PlaceOf {
    pub ws: Ws,
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

/// Returns `true` if another owner can sign in.
pub fn has_other_owner(read: &dyn Read, than: AccountId, shut: &Shut) -> Result<bool, StoreError> {
    Ok(open_owners(read, shut)?.any(|one| one.account != than))
}

/// Unfinished handovers.
pub fn handovers(read: &dyn Read) -> Result<Vec<Handover>, StoreError> {
    read.list(&Range::all())
}

/// Invitations that are neither used, withdrawn nor expired, oldest first. Some may be invalid: see [`open_invites`].
pub fn left_invites(read: &dyn Read, now: Timestamp) -> Result<Vec<Invite>, StoreError> {
    let all = read.list::<Invite>(&Range::all())?;
    Ok(all.into_iter().filter(|one| one.ended_at.is_none() && now < one.expires_at).collect())
}

/// Reserved invitations that are not used up.
pub fn taken_invites(read: &dyn Read) -> Result<Vec<Invite>, StoreError> {
    let all = read.list::<Invite>(&Range::all())?;
    Ok(all.into_iter().filter(|one| one.ended_at.is_none() && one.used_by.is_some()).collect())
}

/// Valid invitations, oldest first. Excludes those whose inviter has left or lost the right to grant the role.
pub fn open_invites(read: &dyn Read, now: Timestamp) -> Result<Vec<Invite>, StoreError> {
    let mut open = left_invites(read, now)?;
    if !open.is_empty() {
        let hosts = members(read)?;
        let host = |invite: &Invite| hosts.iter().find(|host| host.account == invite.by);
        open.retain(|invite| is_backed(invite, host(invite)));
    }
    Ok(open)
}

/// Returns `true` if the inviter's current role still allows the invitation.
fn is_backed(invite: &Invite, host: Option<&Member>) -> bool {
    host.is_some_and(|host| may_give(host.role, invite.role))
}

/// The invitation of a token, if it is valid.
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

/// Returns `true` if there is an invitation with the public part of this token. Does not verify the secret part.
pub fn has_invite(read: &dyn Read, token: &Token) -> Result<bool, StoreError> {
    let mut key = KeyBuf::new();
    key.text(token.id());
    Ok(read.find::<Invite>(INVITE_BY_PUBLIC, &key)?.is_some())
}

/// Returns `true` if somebody with role `own` may grant `role` or change a member who has it.
#[must_use]
pub fn may_give(own: Role, role: Role) -> bool {
    matches!(
        (own, role),
        (Role::Owner, _) | (Role::Admin, Role::Admin | Role::Member | Role::Viewer)
    )
}

pub fn people(read: &dyn Read) -> Result<People, StoreError> {
    Ok(read.get::<People>(())?.unwrap_or_default())
}

/// Proposed task number prefix: initials of the name, or the first letters of a single word.
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

/// Validates a workspace name.
pub fn checked_name(name: &str) -> Result<String, WorkspaceError> {
    let name = name.trim();
    if name.is_empty() || 80 < name.chars().count() || name.chars().any(char::is_control) {
        return Err(WorkspaceError::field(
            "workspace",
            "enter a workspace name (up to 80 characters)",
        ));
    }
    Ok(name.to_owned())
}

/// Validates a member name.
///
/// # Errors
/// If it is empty, too long or has control characters.
pub fn checked_member_name(name: &str) -> Result<String, WorkspaceError> {
    let name = name.trim();
    if name.is_empty() || 80 < name.chars().count() || name.chars().any(char::is_control) {
        return Err(WorkspaceError::field("name", "enter a name (up to 80 characters)"));
    }
    Ok(name.to_owned())
}

/// Validates an IANA time zone.
pub fn checked_zone(zone: &str) -> Result<String, WorkspaceError> {
    let zone = zone.trim();
    TimeZone::get(zone).map_err(|_| {
        WorkspaceError::field("zone", "choose a time zone like Europe/Berlin or UTC")
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
