//! Membership after a restore: members who had left stay out, revoked rights stay revoked, and invitations in the
//! backup are invalid.

use std::collections::{BTreeMap, BTreeSet};

use kernel::{AccountId, Event, Role, Timestamp, WorkspaceId};
use store::{Range, Read, ReadExt, StoreError, WriteTx};

use super::super::model::Member;
use super::super::queries;
use super::{WorkspaceError, invites};

/// Members and roles in the store that a restore replaces.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Former {
    workspace: Option<WorkspaceId>,
    people: BTreeMap<AccountId, (Role, Option<Timestamp>)>,
}

impl Former {
    pub fn of(read: &dyn Read) -> Result<Self, StoreError> {
        let people = read.list::<Member>(&Range::all())?;
        Ok(Self {
            workspace: queries::settings(read)?.map(|settings| settings.id),
            people: people.into_iter().map(|one| (one.account, (one.role, one.left_at))).collect(),
        })
    }
}

/// Access that was revoked again, by member name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Closed {
    /// Whether the former store was of this workspace.
    pub known: bool,
    /// Members who had left since the backup.
    pub left: Vec<String>,
    /// Members whose role was lowered since the backup.
    pub lowered: Vec<String>,
    /// Owners although one of the two stores gives them a lower role, because nobody else would own the workspace.
    pub owners: Vec<String>,
    /// Number of ended invitations.
    pub invites: usize,
}

/// Ends every open invitation. With a former store, members who had left are removed and everybody gets the lower of
/// both roles. If no owner outside `shut` remained, the owners of the former store, else those of the backup, stay
/// owners.
pub fn after_restore(
    tx: &mut WriteTx<'_>,
    former: Option<&Former>,
    shut: &BTreeSet<AccountId>,
) -> Result<Closed, WorkspaceError> {
    let mut closed = Closed::default();
    // Includes invitations whose inviter has a lower role now: the backup may have raised that role again.
    for invite in queries::left_invites(tx, tx.now())? {
        invites::withdraw(tx, invite.id)?;
        closed.invites += 1;
    }
    let id = queries::settings(tx)?.map(|settings| settings.id);
    // A store of other people says nothing about these members.
    let Some(former) = former.filter(|former| former.workspace == id) else { return Ok(closed) };
    closed.known = true;
    let all = queries::members(tx)?.into_iter().map(|member| former.of_both(member));
    let all: Vec<Both> = all.collect();
    let heirs = heirs(&all, shut);
    for Both { mut member, role, left_at } in all {
        if heirs.contains(&member.account) {
            let from = std::mem::replace(&mut member.role, Role::Owner);
            if from != Role::Owner {
                tx.put(&member)?;
                let (account, to) = (member.account, Role::Owner);
                tx.emit(Event::MemberRoleChanged { account, from, to });
            }
            closed.owners.push(member.name);
        } else if left_at.is_some() {
            member.left_at = left_at;
            tx.put(&member)?;
            tx.emit(Event::MemberLeft { account: member.account });
            closed.left.push(member.name);
        } else if member.role < role {
            let from = std::mem::replace(&mut member.role, role);
            tx.put(&member)?;
            tx.emit(Event::MemberRoleChanged { account: member.account, from, to: role });
            closed.lowered.push(member.name);
        }
    }
    Ok(closed)
}

/// A member of the backup, with the role from both stores.
struct Both {
    member: Member,
    /// Role in the former store. If unknown there, as in the backup.
    role: Role,
    left_at: Option<Timestamp>,
}

impl Former {
    fn of_both(&self, member: Member) -> Both {
        let (role, left_at) =
            self.people.get(&member.account).copied().unwrap_or((member.role, None));
        Both { member, role, left_at }
    }
}

/// Members who must stay owners although one of the stores gives them a lower role. Empty if somebody is owner in both.
fn heirs(all: &[Both], shut: &BTreeSet<AccountId>) -> BTreeSet<AccountId> {
    let owns = |one: &Both| one.role == Role::Owner && one.left_at.is_none();
    let owned = |one: &Both| one.member.role == Role::Owner;
    let able = || all.iter().filter(move |one| !shut.contains(&one.member.account));
    if able().any(|one| owns(one) && owned(one)) {
        return BTreeSet::new();
    }
    let ways: [&dyn Fn(&Both) -> bool; 3] =
        [&owns, &|one: &Both| owned(one) && one.left_at.is_none(), &owned];
    let some = ways.iter().map(|way| {
        able().filter(|one| way(one)).map(|one| one.member.account).collect::<BTreeSet<_>>()
    });
    some.into_iter().find(|some| !some.is_empty()).unwrap_or_default()
}
