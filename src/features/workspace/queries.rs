//! Reads of the workspace: settings, members, names of actors.

use jiff::tz::TimeZone;

use crate::kernel::{AccountId, Role, text};
use crate::store::{Range, Read, ReadExt, StoreError};

use super::model::{Member, Settings};
use super::rules::WorkspaceError;

/// The settings, if the workspace was founded.
///
/// # Errors
/// When the disk fails.
pub fn settings<R: Read + ?Sized>(read: &R) -> Result<Option<Settings>, StoreError> {
    read.get::<Settings>(())
}

/// The settings with the rev that guards a change of them.
///
/// # Errors
/// When the disk fails.
pub fn settings_rev<R: Read + ?Sized>(read: &R) -> Result<Option<(Settings, u64)>, StoreError> {
    read.get_rev::<Settings>(())
}

/// A person who belongs to the workspace now.
///
/// # Errors
/// When the disk fails.
pub fn member<R: Read + ?Sized>(
    read: &R,
    account: AccountId,
) -> Result<Option<Member>, StoreError> {
    Ok(read.get::<Member>(account)?.filter(|member| member.left_at.is_none()))
}

/// A person who belongs or belonged to the workspace, to name them in history.
///
/// # Errors
/// When the disk fails.
pub fn known_person<R: Read + ?Sized>(
    read: &R,
    account: AccountId,
) -> Result<Option<Member>, StoreError> {
    read.get::<Member>(account)
}

/// Everybody who belongs to the workspace, oldest member first.
///
/// # Errors
/// When the disk fails.
pub fn members<R: Read + ?Sized>(read: &R) -> Result<Vec<Member>, StoreError> {
    let all = read.list::<Member>(&Range::all())?;
    Ok(all.into_iter().filter(|member| member.left_at.is_none()).collect())
}

/// The first owner.
///
/// # Errors
/// When the disk fails.
pub fn owner<R: Read + ?Sized>(read: &R) -> Result<Option<Member>, StoreError> {
    Ok(members(read)?.into_iter().find(|member| member.role == Role::Owner))
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
///
/// # Errors
/// Says what is wrong.
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
///
/// # Errors
/// Says what is wrong.
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
