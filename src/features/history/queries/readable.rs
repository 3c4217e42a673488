//! Who may read which rows: asked by the feed for programs, by snapshots and by history alike.
//!
//! Two questions. Whether somebody may read rows of a table at all says `access.rs`. Rows that belong
//! to a conversation, or to a run in one, are read by whoever may see the talk; what somebody keeps
//! for themselves by nobody else, whatever they are here.

use std::cell::RefCell;
use std::collections::HashMap;

use crate::browsers::model::{BROWSER_SHOTS, BrowserShot};
use crate::cards;
use crate::dashboard::model::{Away, NEEDS_AWAY};
use crate::jobs::model::{JOBS, Job};
use crate::notifications::model::{
    CHOICES, Choices, FANOUTS, NOTIFICATIONS, RECIPIENTS, Recipient,
};
use crate::runs::model::{
    BRANCHES, Branch, CHILDREN, CONTEXTS, Child, Context, Evidence, INPUTS, Input, OUTSIDE,
    Outside, PARKS, Park, QUEUE_CHOICES, QueueChoice, QueueOf, READ_MARKS, RUN_EVIDENCE, RUNS,
    ReadMark, Run, SESSION_EVENTS, SESSIONS, Session, SessionEvent, TALK_CHOICES, TalkChoice,
    WRITTEN, Written,
};
use crate::runs::queries::talk;
use crate::trust::model::{APPROVALS, Approval};
use crate::usage::model::budget::{BUDGET_WAITS, BudgetWait};
use crate::usage::model::grant::{RUN_GRANTS, RunGrant};
use crate::usage::model::{RESERVATIONS, Reservation, USAGE, Usage};
use entity::typed;
use kernel::{AccountId, Can, Role, RunId, SessionId};
use store::history::{self, Image, Version};
use store::{Read, ReadExt as _, Root, Schema, StoreError};
use web::session::{Access, Person};

use super::super::model::{FILE_REVERTS, FileRevert};
use super::access;

/// Somebody who reads, and what this person may do.
#[derive(Clone, Copy, Debug)]
pub struct Looker {
    account: AccountId,
    role: Role,
    access: Access,
}

impl Looker {
    /// Who sent a request.
    #[must_use]
    pub fn of(who: &Person) -> Self {
        Self::new(who.account, who.role, who.access)
    }

    /// Somebody, by what they are here and what they may do.
    #[must_use]
    pub fn new(account: AccountId, role: Role, access: Access) -> Self {
        Self { account, role, access }
    }
}

/// The eye of somebody on one snapshot. What it was asked of a run or a conversation it remembers.
pub struct Eye<'r> {
    read: &'r dyn Read,
    who: Looker,
    runs: RefCell<HashMap<RunId, bool>>,
    sessions: RefCell<HashMap<SessionId, bool>>,
}

impl<'r> Eye<'r> {
    /// The eye of this person.
    #[must_use]
    pub fn new(read: &'r dyn Read, who: Looker) -> Self {
        Self { read, who, runs: RefCell::default(), sessions: RefCell::default() }
    }

    /// Whether there are rows of a table that this person may read.
    #[must_use]
    pub fn may_read(&self, table: u16) -> bool {
        access::may_read_rows(self.who.access, table)
    }

    /// Whether this person may read the history of records of a table.
    #[must_use]
    pub fn may_read_history(&self, table: u16) -> bool {
        access::may_read(self.who.access, table)
    }

    /// Whether this person may undo in a table.
    #[must_use]
    pub fn may_undo(&self, table: u16) -> bool {
        self.who.access.may(Can::Write) && access::may_undo(self.who.access, table)
    }

    /// Whether this person may read a row, from its stored bytes.
    pub fn sees(&self, table: u16, row: &[u8]) -> Result<bool, StoreError> {
        if !self.may_read(table) {
            return Ok(false);
        }
        let seen = match table {
            t if t == RUNS.number => typed::<Run>(row).map(|run| self.sees_run(&run)),
            t if t == SESSIONS.number => typed::<Session>(row).map(|one| Ok(self.may_see(&one))),
            t if t == SESSION_EVENTS.number => {
                typed::<SessionEvent>(row).map(|event| match event.run {
                    Some(run) => self.run(run),
                    None => self.session(event.session),
                })
            }
            t if t == INPUTS.number => typed::<Input>(row).map(|one| self.session(one.session)),
            t if t == CONTEXTS.number => typed::<Context>(row).map(|one| self.session(one.session)),
            t if t == OUTSIDE.number => typed::<Outside>(row).map(|one| self.session(one.session)),
            t if t == WRITTEN.number => typed::<Written>(row).map(|one| self.run(one.by.run)),
            t if t == QUEUE_CHOICES.number => {
                typed::<QueueChoice>(row).map(|choice| match choice.of {
                    QueueOf::Session(id) => self.session(id),
                    QueueOf::Workspace | QueueOf::Agent(_) => Ok(true),
                })
            }
            t if t == TALK_CHOICES.number => {
                typed::<TalkChoice>(row).map(|choice| match choice.of {
                    QueueOf::Session(id) => self.session(id),
                    QueueOf::Workspace | QueueOf::Agent(_) => Ok(true),
                })
            }
            t if t == PARKS.number => typed::<Park>(row).map(|one| self.run(one.run)),
            t if t == BROWSER_SHOTS.number => {
                typed::<BrowserShot>(row).map(|one| self.run(one.run))
            }
            t if t == APPROVALS.number => typed::<Approval>(row).map(|one| self.run(one.run)),
            t if t == CHILDREN.number => typed::<Child>(row).map(|one| self.run(one.run)),
            t if t == BRANCHES.number => typed::<Branch>(row).map(|one| self.session(one.session)),
            // How far somebody has read is their own business.
            t if t == READ_MARKS.number => {
                typed::<ReadMark>(row).map(|mark| Ok(mark.member == self.who.account))
            }
            t if t == JOBS.number => typed::<Job>(row).map(|one| self.run(one.run)),
            t if t == RESERVATIONS.number => {
                typed::<Reservation>(row).map(|held| held.run.map_or(Ok(true), |run| self.run(run)))
            }
            t if t == BUDGET_WAITS.number => typed::<BudgetWait>(row).map(|one| self.run(one.run)),
            t if t == RUN_GRANTS.number => typed::<RunGrant>(row).map(|one| self.run(one.run)),
            t if t == RUN_EVIDENCE.number => typed::<Evidence>(row).map(|one| self.run(one.run)),
            t if t == FILE_REVERTS.number => typed::<FileRevert>(row).map(|one| self.run(one.run)),
            t if t == USAGE.number => {
                typed::<Usage>(row).map(|call| call.run.map_or(Ok(true), |run| self.run(run)))
            }
            t if t == RECIPIENTS.number => {
                typed::<Recipient>(row).map(|one| Ok(one.member == self.who.account))
            }
            t if t == CHOICES.number => {
                typed::<Choices>(row).map(|one| Ok(one.member == self.who.account))
            }
            t if t == NEEDS_AWAY.number => {
                typed::<Away>(row).map(|one| Ok(one.account == self.who.account))
            }
            // Whom it reached tells another table: its words are read on its own page.
            t if t == NOTIFICATIONS.number || t == FANOUTS.number => None,
            _ => {
                let noun = cards::of_table(table);
                return Ok(noun.is_none_or(|noun| noun.is_for(row, self.who.account)));
            }
        };
        seen.unwrap_or(Ok(false))
    }

    /// Whether this person may read the history of a record, which may be gone.
    pub fn sees_record(&self, schema: &Schema, record: &Root) -> Result<bool, StoreError> {
        if !self.may_read_history(record.table) {
            return Ok(false);
        }
        if let Some(row) = self.read.raw_get(record.table, &record.key)? {
            return self.sees(record.table, &row);
        }
        match record.table {
            // Whose a run was that is gone cannot be told.
            t if t == RUNS.number => Ok(false),
            // Whose it was says what it was last.
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

    /// Whether this person may read a version of a record: what was there before, and what was there
    /// afterwards. Of what is not kept there is nothing to read.
    pub fn sees_version(&self, table: u16, version: &Version) -> Result<bool, StoreError> {
        for row in [&version.before, &version.after].into_iter().filter_map(Image::bytes) {
            if !self.sees(table, row)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether this person may look at a run.
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

    /// A run that is gone belongs to nobody any more.
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
