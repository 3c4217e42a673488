//! All writes of the workspace itself: founding, settings, members, counters.

pub mod handover;
pub mod invites;
pub mod members;
pub mod restored;

use crate::usage::model::budget::Budget;
use kernel::{
    AccountId, Colour, Event, FieldError, Payer, Period, Problem, ProblemKind, Role, WorkspaceId,
    text,
};
use store::{ReadExt, StoreError, WriteTx};

use super::model::{Brand, Member, RUN_CAP_MICROS, Settings};
use super::queries::{self, modules};

/// Upper limit of money settings: a million dollars, in micro-dollars.
const MAX_MICROS: i64 = 1_000_000_000_000;

#[derive(Debug, thiserror::Error)]
pub enum WorkspaceError {
    #[error("{message}")]
    Field {
        field: &'static str,
        /// What is wrong and what would be right.
        message: String,
    },
    /// The store has no settings row.
    #[error("this workspace isn't set up; open the set-up link")]
    NotFounded,
    #[error("{0} isn't a member of this workspace")]
    NoMember(AccountId),
    /// The workspace is archived or scheduled for deletion.
    #[error("{0}")]
    Closed(String),
    #[error("a workspace needs an owner; make someone else an owner first")]
    LastOwner,
    /// Disabling the account would leave a workspace without an owner.
    #[error("{0} would have no owner who can sign in; make someone else an owner there first")]
    OnlyOwner(String),
    /// An operation that is not allowed on one's own account.
    #[error("you can't {0}")]
    OwnAccount(&'static str),
    /// The operation needs a higher role.
    #[error("only an owner can change an {} or give someone that role", .0.to_lowercase())]
    MoreThanOwn(&'static str),
    /// The person administers another workspace.
    #[error("this person also manages another workspace; ask the server's admin")]
    OtherPlace,
    /// The actor is no person.
    #[error("only a person can do this")]
    PeopleOnly,
    #[error("this invitation doesn't exist")]
    NoInvite,
    /// The invitation was used or withdrawn, or has expired.
    #[error("this invitation is no longer valid; ask for a new one")]
    DeadInvite,
    /// The invitation is bound to another address.
    #[error("this invitation is for another email address; sign in with that one")]
    OtherPerson,
    #[error("you're already a member of this workspace")]
    Member,
    #[error("{0} invitations are open; withdraw one first")]
    ManyInvites(usize),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl WorkspaceError {
    pub fn field(field: &'static str, message: impl Into<String>) -> Self {
        Self::Field { field, message: message.into() }
    }
}

impl Problem for WorkspaceError {
    fn code(&self) -> &'static str {
        match self {
            Self::Field { .. } => "invalid",
            Self::NotFounded => "setup_required",
            Self::NoMember(_) => "no_member",
            Self::Closed(_) => "workspace_archived",
            Self::LastOwner | Self::OnlyOwner(_) => "last_owner",
            Self::OwnAccount(_) => "own_account",
            Self::MoreThanOwn(_) => "more_than_own",
            Self::OtherPlace => "other_workspace",
            Self::PeopleOnly => "people_only",
            Self::NoInvite => "no_invite",
            Self::DeadInvite => "dead_invite",
            Self::OtherPerson => "other_person",
            Self::Member => "member_already",
            Self::ManyInvites(_) => "too_many",
            Self::Store(error) => error.code(),
        }
    }

    fn kind(&self) -> ProblemKind {
        match self {
            Self::Field { .. } => ProblemKind::Invalid,
            Self::NotFounded => ProblemKind::Unavailable,
            Self::NoMember(_) | Self::NoInvite => ProblemKind::NotFound,
            Self::Closed(_)
            | Self::LastOwner
            | Self::OnlyOwner(_)
            | Self::OwnAccount(_)
            | Self::Member
            | Self::ManyInvites(_) => ProblemKind::Conflict,
            Self::MoreThanOwn(_) | Self::PeopleOnly | Self::OtherPerson | Self::OtherPlace => {
                ProblemKind::Forbidden
            }
            Self::DeadInvite => ProblemKind::Gone,
            Self::Store(error) => error.kind(),
        }
    }

    fn fields(&self) -> Vec<FieldError> {
        match self {
            Self::Field { field, message } => vec![FieldError::new(*field, message)],
            Self::Store(error) => error.fields(),
            _ => Vec::new(),
        }
    }
}

#[derive(Clone, Debug)]
pub struct Founding {
    pub id: WorkspaceId,
    pub name: String,
    /// Defaults to a house.
    pub emoji: Option<String>,
    /// IANA time zone.
    pub zone: String,
    /// At first boot the account is created after the workspace.
    pub owner: AccountId,
    pub owner_name: String,
    pub owner_email: String,
}

/// Founds the workspace. If an earlier attempt was interrupted, updates its values but keeps the ids of the workspace
/// and the owner.
///
/// # Errors
/// If a field is invalid.
pub fn found(tx: &mut WriteTx<'_>, new: Founding) -> Result<(Settings, Member), WorkspaceError> {
    let name = queries::checked_name(&new.name)?;
    let zone = queries::checked_zone(&new.zone)?;
    let emoji = new.emoji.map(|emoji| checked_emoji(&emoji)).transpose()?;
    let before = tx.get::<Settings>(())?;
    let is_new = before.is_none();
    let owner = queries::owner(tx)?.map_or(new.owner, |member| member.account);
    let settings = match before {
        Some(before) => Settings { name, zone, ..before },
        None => Settings {
            id: new.id,
            task_key: queries::proposed_key(&name),
            name,
            emoji: emoji.unwrap_or_else(|| "🏢".to_owned()),
            old_task_keys: Vec::new(),
            zone,
            default_connection: None,
            default_model: None,
            budget_micros: None,
            run_cap_micros: RUN_CAP_MICROS,
            comments_reach_assignee: true,
            exec_without_jail: false,
            without: Vec::new(),
            reviewer_connection: None,
            reviewer_model: None,
        },
    };
    tx.put(&settings)?;
    let member = Member {
        account: owner,
        handle: handle(&new.owner_name, &new.owner_email),
        name: new.owner_name,
        email: new.owner_email,
        role: Role::Owner,
        created_at: tx.now(),
        left_at: None,
    };
    tx.put(&member)?;
    if is_new {
        tx.emit(Event::MemberJoined { account: owner });
    }
    Ok((settings, member))
}

/// Handle from a name: the first name, or the local part of the address if the name has no ASCII letters.
fn handle(name: &str, email: &str) -> String {
    let front = |text: &str, end: fn(char) -> bool| {
        text::slug(text.split(end).find(|part| !part.is_empty()).unwrap_or_default(), 30)
    };
    let all = [front(name, char::is_whitespace), front(email, |c| c == '@')];
    let found = all.into_iter().find(|handle| !handle.is_empty());
    found.unwrap_or_else(|| "member".to_owned())
}

/// A change of the settings. `None` keeps a value.
#[derive(Clone, Debug, Default)]
pub struct SettingsPatch {
    pub name: Option<String>,
    pub emoji: Option<String>,
    /// Prefix of task numbers.
    pub task_key: Option<String>,
    /// IANA time zone.
    pub zone: Option<String>,
    /// Monthly budget in micro-dollars. `Some(None)` removes it.
    pub budget_micros: Option<Option<i64>>,
    /// Maximum cost of a run in micro-dollars.
    pub run_cap_micros: Option<i64>,
    /// Whether a person's comment reaches the task's agent without a mention.
    pub comments_reach_assignee: Option<bool>,
    /// Whether programs may run unsandboxed on a host without Landlock.
    pub exec_without_jail: Option<bool>,
    /// Words of the disabled modules.
    pub without: Option<Vec<String>>,
}

/// Changes the settings. With `rev`, only if they still have that revision.
///
/// # Errors
/// If a field is invalid or the settings have changed.
pub fn update(
    tx: &mut WriteTx<'_>,
    patch: SettingsPatch,
    rev: Option<u64>,
) -> Result<Settings, WorkspaceError> {
    let mut now = tx.get::<Settings>(())?.ok_or(WorkspaceError::NotFounded)?;
    if let Some(name) = patch.name {
        now.name = queries::checked_name(&name)?;
    }
    if let Some(emoji) = patch.emoji {
        now.emoji = checked_emoji(&emoji)?;
    }
    if let Some(key) = patch.task_key {
        change_key(&mut now, &key)?;
    }
    if let Some(zone) = patch.zone {
        now.zone = queries::checked_zone(&zone)?;
    }
    if let Some(budget) = patch.budget_micros {
        now.budget_micros = budget.map(|b| checked_money("budget", b)).transpose()?;
    }
    if let Some(cap) = patch.run_cap_micros {
        let before = std::mem::replace(&mut now.run_cap_micros, checked_money("run_cap", cap)?);
        if before != cap {
            choose_run_cap(tx, cap)?;
        }
    }
    now.comments_reach_assignee =
        patch.comments_reach_assignee.unwrap_or(now.comments_reach_assignee);
    now.exec_without_jail = patch.exec_without_jail.unwrap_or(now.exec_without_jail);
    if let Some(without) = patch.without {
        now.without = modules::checked(&without)
            .map_err(|wrong| WorkspaceError::field("modules_off", &wrong.message))?;
    }
    match rev {
        Some(rev) => tx.put_if(&now, rev)?,
        None => tx.put(&now)?,
    }
    Ok(now)
}

/// Enables a module.
///
/// # Errors
/// If the workspace has no settings.
pub fn enable_module(tx: &mut WriteTx<'_>, word: &str) -> Result<(), WorkspaceError> {
    let mut now = tx.get::<Settings>(())?.ok_or(WorkspaceError::NotFounded)?;
    if now.without.iter().any(|off| off == word) {
        now.without.retain(|off| off != word);
        tx.put(&now)?;
    }
    Ok(())
}

/// Chooses the brand colour. `None` restores HQ's own accents.
pub fn set_brand(tx: &mut WriteTx<'_>, colour: Option<Colour>) -> Result<(), WorkspaceError> {
    match colour {
        Some(colour) => tx.put(&Brand { colour })?,
        None => {
            tx.delete::<Brand>(())?;
        }
    }
    Ok(())
}

/// Records that the run cost limit was set explicitly. From then on it also applies to calls without a known price.
fn choose_run_cap(tx: &mut WriteTx<'_>, micros: i64) -> Result<(), StoreError> {
    let id = (Payer::Workspace, Period::Run);
    let before = tx.get::<Budget>(id)?;
    let is_there = before.is_some();
    let row = Budget {
        limit_micros: Some(micros).filter(|micros| 0 < *micros),
        updated_at: tx.now(),
        ..before.unwrap_or_else(|| Budget::new(id.0, id.1))
    };
    if row.limits() {
        tx.put(&row)?;
    } else if is_there {
        tx.delete::<Budget>(id)?;
    }
    Ok(())
}

/// Validates a task number prefix.
pub fn checked_key(key: &str) -> Result<String, WorkspaceError> {
    let key = key.trim().to_uppercase();
    let letters = key.bytes().all(|b| b.is_ascii_uppercase());
    match letters && (2..=5).contains(&key.len()) {
        true => Ok(key),
        false => Err(WorkspaceError::field("task_key", "enter two to five letters, like MC")),
    }
}

fn change_key(settings: &mut Settings, key: &str) -> Result<(), WorkspaceError> {
    let key = checked_key(key)?;
    if key != settings.task_key {
        let old = std::mem::replace(&mut settings.task_key, key);
        settings.old_task_keys.retain(|one| *one != settings.task_key && *one != old);
        settings.old_task_keys.push(old);
    }
    Ok(())
}

/// Renames a member.
///
/// # Errors
/// If there is no such member or the name is invalid.
pub fn rename_member(
    tx: &mut WriteTx<'_>,
    account: AccountId,
    name: &str,
) -> Result<Member, WorkspaceError> {
    let mut member = tx.get::<Member>(account)?.ok_or(WorkspaceError::NoMember(account))?;
    member.name = queries::checked_member_name(name)?;
    tx.put(&member)?;
    Ok(member)
}

/// Records an export of the whole workspace.
pub fn note_export(tx: &mut WriteTx<'_>) {
    tx.emit(Event::WorkspaceExported);
}

pub fn checked_emoji(emoji: &str) -> Result<String, WorkspaceError> {
    let emoji = emoji.trim();
    let plain = emoji.chars().any(|c| c.is_alphanumeric() || c.is_control() || c.is_whitespace());
    if emoji.is_empty() || plain || 8 < emoji.chars().count() {
        return Err(WorkspaceError::field("emoji", "enter one emoji"));
    }
    Ok(emoji.to_owned())
}

/// Validates an amount of money in micro-dollars.
///
/// # Errors
/// If it is negative or above a million dollars.
pub fn checked_money(field: &'static str, micros: i64) -> Result<i64, WorkspaceError> {
    if !(0..=MAX_MICROS).contains(&micros) {
        return Err(WorkspaceError::field(field, "enter an amount from 0 to 1,000,000 dollars"));
    }
    Ok(micros)
}
