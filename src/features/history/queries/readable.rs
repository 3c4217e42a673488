//! Read permissions for rows. Used by the feed API, snapshots and history.
//!
//! `access.rs` decides whether a person may read rows of a table at all. Rows of a conversation, or of a run in one,
//! are readable by those who may see the conversation. Private records are readable only by their owner, whatever the
//! role.

use std::cell::RefCell;
use std::collections::HashMap;

use crate::browsers::model::{BROWSER_SHOTS, BrowserShot};
use crate::cards;
use crate::claims::model::{CLAIM_CHECKS, ClaimCheck};
use crate::dashboard::model::{Away, NEEDS_AWAY};
use crate::jobs::model::{JOBS, Job};
use crate::notifications::model::{
    CHOICES, Choices, FANOUTS, NOTIFICATIONS, RECIPIENTS, Recipient,
};
use crate::runs::model::{
    BRANCHES, Branch, CHILDREN, CONTEXTS, Child, Context, Evidence, INPUT_GRANTS, INPUTS, Input,
    InputGrant, OUTSIDE, Outside, PARKS, Park, QUEUE_CHOICES, QueueChoice, QueueOf, READ_MARKS,
    RUN_EVIDENCE, RUNS, ReadMark, Run, SENDER_GRANTS, SESSION_EVENTS, SESSIONS, SenderGrant,
    Session, SessionEvent, TALK_CHOICES, TalkChoice, WRITTEN, Written,
};
use crate::runs::queries::talk;
use crate::trust::model::{APPROVALS, Approval};
use crate::usage::model::budget::{BUDGET_WAITS, BudgetWait};
use crate::usage::model::grant::{RUN_GRANTS, RunGrant};
use crate::usage::model::{RESERVATIONS, Reservation, USAGE, Usage};
use entity::decode_row;
use kernel::{AccountId, Can, Role, RunId, SessionId};
use store::history::{self, Image, Version};
use store::{Read, ReadExt as _, Root, Schema, StoreError};
use web::session::{Access, Person};

use super::super::model::{FILE_REVERTS, FileRevert};
use super::access;

/// A reader with role and permissions.
#[derive(Clone, Copy, Debug)]
pub struct Looker {
    account: AccountId,
    role: Role,
    access: Access,
}

impl Looker {
    /// Reader of a request.
    #[must_use]
    pub fn of(who: &Person) -> Self {
        Self::new(who.account, who.role, who.access)
    }

    #[must_use]
    pub fn new(account: AccountId, role: Role, access: Access) -> Self {
        Self { account, role, access }
    }
}

/// Read permissions of a reader on one snapshot. Caches the results for runs and conversations.
pub struct Eye<'r> {
    read: &'r dyn Read,
    who: Looker,
    runs: RefCell<HashMap<RunId, bool>>,
    sessions: RefCell<HashMap<SessionId, bool>>,
}

impl<'r> Eye<'r> {
    #[must_use]
    pub fn new(read: &'r dyn Read, who: Looker) -> Self {
        Self { read, who, runs: RefCell::default(), sessions: RefCell::default() }
    }

    /// Returns `true` if this person may read any rows of a table.
    #[must_use]
    pub fn may_read(&self, table: u16) -> bool {
        access::may_read_rows(self.who.access, table)
    }

    /// Returns `true` if this person may read the history of a table's records.
    #[must_use]
    pub fn may_read_history(&self, table: u16) -> bool {
        access::may_read(self.who.access, table)
    }

    /// Returns `true` if this person may undo changes in a table.
    #[must_use]
    pub fn may_undo(&self, table: u16) -> bool {
        self.who.access.may(Can::Write) && access::may_undo(self.who.access, table)
    }

    /// Returns `true` if this person may read a row, given its stored bytes.
    pub fn sees(&self, table: u16, row: &[u8]) -> Result<bool, StoreError> {
        if !self.may_read(table) {
            return Ok(false);
        }
        let seen = match table {
            t if t == RUNS.number => decode_row::<Run>(row).map(|run| self.sees_run(&run)),
            t if t == SESSIONS.number => {
                decode_row::<Session>(row).map(|one| Ok(self.may_see(&one)))
            }
            t if t == SESSION_EVENTS.number => {
                decode_row::<SessionEvent>(row).map(|event| match event.run {
                    Some(run) => self.run(run),
                    None => self.session(event.session),
                })
            }
            t if t == INPUTS.number => {
                decode_row::<Input>(row).map(|one| self.session(one.session))
            }
            t if t == CONTEXTS.number => {
                decode_row::<Context>(row).map(|one| self.session(one.session))
            }
            t if t == OUTSIDE.number => {
                decode_row::<Outside>(row).map(|one| self.session(one.session))
            }
            t if t == WRITTEN.number => decode_row::<Written>(row).map(|one| self.run(one.by.run)),
            t if t == QUEUE_CHOICES.number => {
                decode_row::<QueueChoice>(row).map(|choice| match choice.of {
                    QueueOf::Session(id) => self.session(id),
                    QueueOf::Workspace | QueueOf::Agent(_) => Ok(true),
                })
            }
            t if t == TALK_CHOICES.number => {
                decode_row::<TalkChoice>(row).map(|choice| match choice.of {
                    QueueOf::Session(id) => self.session(id),
                    QueueOf::Workspace | QueueOf::Agent(_) => Ok(true),
                })
            }
            t if t == PARKS.number => decode_row::<Park>(row).map(|one| self.run(one.run)),
            t if t == BROWSER_SHOTS.number => {
                decode_row::<BrowserShot>(row).map(|one| self.run(one.run))
            }
            t if t == APPROVALS.number => decode_row::<Approval>(row).map(|one| self.run(one.run)),
            t if t == CHILDREN.number => decode_row::<Child>(row).map(|one| self.run(one.run)),
            t if t == SENDER_GRANTS.number => {
                decode_row::<SenderGrant>(row).map(|one| self.run(one.run))
            }
            t if t == INPUT_GRANTS.number => decode_row::<InputGrant>(row).map(|one| {
                let input = self.read.get::<Input>(one.input)?;
                input.map_or(Ok(false), |input| self.session(input.session))
            }),
            t if t == BRANCHES.number => {
                decode_row::<Branch>(row).map(|one| self.session(one.session))
            }
            // Read marks are private.
            t if t == READ_MARKS.number => {
                decode_row::<ReadMark>(row).map(|mark| Ok(mark.member == self.who.account))
            }
            t if t == JOBS.number => decode_row::<Job>(row).map(|one| self.run(one.run)),
            t if t == RESERVATIONS.number => decode_row::<Reservation>(row)
                .map(|held| held.run.map_or(Ok(true), |run| self.run(run))),
            t if t == BUDGET_WAITS.number => {
                decode_row::<BudgetWait>(row).map(|one| self.run(one.run))
            }
            t if t == RUN_GRANTS.number => decode_row::<RunGrant>(row).map(|one| self.run(one.run)),
            t if t == RUN_EVIDENCE.number => {
                decode_row::<Evidence>(row).map(|one| self.run(one.run))
            }
            t if t == CLAIM_CHECKS.number => {
                decode_row::<ClaimCheck>(row).map(|one| self.run(one.run))
            }
            t if t == FILE_REVERTS.number => {
                decode_row::<FileRevert>(row).map(|one| self.run(one.run))
            }
            t if t == USAGE.number => {
                decode_row::<Usage>(row).map(|call| call.run.map_or(Ok(true), |run| self.run(run)))
            }
            t if t == RECIPIENTS.number => {
                decode_row::<Recipient>(row).map(|one| Ok(one.member == self.who.account))
            }
            t if t == CHOICES.number => {
                decode_row::<Choices>(row).map(|one| Ok(one.member == self.who.account))
            }
            t if t == NEEDS_AWAY.number => {
                decode_row::<Away>(row).map(|one| Ok(one.account == self.who.account))
            }
            // Recipients are in another table. The text is read on the notification page.
            t if t == NOTIFICATIONS.number || t == FANOUTS.number => None,
            _ => {
                let noun = cards::of_table(table);
                return Ok(noun.is_none_or(|noun| noun.is_for(row, self.who.account)));
            }
        };
        seen.unwrap_or(Ok(false))
    }

    /// Returns `true` if this person may read the history of a record, which may be deleted.
    pub fn sees_record(&self, schema: &Schema, record: &Root) -> Result<bool, StoreError> {
        if !self.may_read_history(record.table) {
            return Ok(false);
        }
        if let Some(row) = self.read.raw_get(record.table, &record.key)? {
            return self.sees(record.table, &row);
        }
        match record.table {
            // The owner of a deleted run is unknown.
            t if t == RUNS.number => Ok(false),
            // The last version tells the owner.
            t if cards::may_be_own(t) => {
                let seq = history::last_touch(self.read, record)?;
                let last = history::before(self.read, schema, record, seq)?;
                match last.as_ref().and_then(Image::bytes) {
                    Some(row) => self.sees(record.table, row),
                    None => Ok(false),
                }
            }
            _ => Ok(true),
        }
    }

    /// Returns `true` if this person may read both sides of a version. A side that is gone reveals nothing.
    pub fn sees_version(&self, table: u16, version: &Version) -> Result<bool, StoreError> {
        for row in [&version.before, &version.after].into_iter().filter_map(Image::bytes) {
            if !self.sees(table, row)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Returns `true` if this person may see a run.
    pub fn sees_run(&self, run: &Run) -> Result<bool, StoreError> {
        if let Some(known) = self.runs.borrow().get(&run.id) {
            return Ok(*known);
        }
        let seen = talk::may_see_run(&self.read, run, self.who.account, self.who.role)?;
        self.runs.borrow_mut().insert(run.id, seen);
        Ok(seen)
    }

    fn may_see(&self, session: &Session) -> bool {
        talk::may_see(session, self.who.account, self.who.role)
    }

    /// The same by id. A deleted run belongs to nobody any more.
    fn run(&self, id: RunId) -> Result<bool, StoreError> {
        if let Some(known) = self.runs.borrow().get(&id) {
            return Ok(*known);
        }
        match self.read.get::<Run>(id)? {
            Some(run) => self.sees_run(&run),
            None => Ok(false),
        }
    }

    fn session(&self, id: SessionId) -> Result<bool, StoreError> {
        if let Some(known) = self.sessions.borrow().get(&id) {
            return Ok(*known);
        }
        let session = self.read.get::<Session>(id)?;
        let seen = session.is_some_and(|session| self.may_see(&session));
        self.sessions.borrow_mut().insert(id, seen);
        Ok(seen)
    }
}
