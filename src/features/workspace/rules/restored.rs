//! What a restore does to the people of a workspace: who had left does not come back, nobody gets rights
//! back that were taken, and no invitation of then is good.

use std::collections::{BTreeMap, BTreeSet};

use kernel::{AccountId, Event, Role, Timestamp, WorkspaceId};
use store::{Range, Read, ReadExt, StoreError, WriteTx};

use super::super::model::Member;
use super::super::queries;
use super::{WorkspaceError, invites};

/// Who belonged to the workspace, and as what, in the store that a restore takes the place of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Former {
    workspace: Option<WorkspaceId>,
    people: BTreeMap<AccountId, (Role, Option<Timestamp>)>,
}

impl Former {
    /// Reads it.
    pub fn of(read: &dyn Read) -> Result<Self, StoreError> {
        let people = read.list::<Member>(&Range::all())?;
        Ok(Self {
            workspace: queries::settings(read)?.map(|settings| settings.id),
            people: people.into_iter().map(|one| (one.account, (one.role, one.left_at))).collect(),
        })
    }
}

/// What was closed, by the names of the people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Closed {
    /// Whether the former store was one of this workspace.
    pub known: bool,
    /// Who had left since the backup.
    pub left: Vec<String>,
    /// Who had lost rights since the backup.
    pub lowered: Vec<String>,
    /// Who owns the workspace although they own less in one of the two: nobody else would.
    pub owners: Vec<String>,
    /// Invitations that ended.
    pub invites: usize,
}

/// Ends every open invitation. With what was known in the former store: who had left is no member again,
/// and everybody has the lower of both roles. When nobody would own the workspace whose account is not
/// `shut`, those own it who did so in the former store, or else in the backup.
pub fn after_restore(
    tx: &mut WriteTx<'_>,
    former: Option<&Former>,
    shut: &BTreeSet<AccountId>,
) -> Result<Closed, WorkspaceError> {
    let mut closed = Closed::default();
    // Also those whose hosts are less by now: the backup may have made them more again.
    for invite in queries::left_invites(tx, tx.now())? {
        invites::withdraw(tx, invite.id)?;
        closed.invites += 1;
    }
    let id = queries::settings(tx)?.map(|settings| settings.id);
    // A store of other people says nothing about these.
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

/// A member of the backup with what both stores together say.
struct Both {
    member: Member,
    /// What they were in the former store; as in the backup when that does not know them.
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

/// Who owns the workspace although one of the two stores says less: nobody when somebody owns it in both.
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
