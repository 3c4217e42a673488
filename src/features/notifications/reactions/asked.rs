//! Notifications of questions and approval requests of runs, with reminders for pending approvals.

use jiff::SignedDuration;

use crate::notifications::queries;
use crate::notifications::rules::{self, NotificationError};
use crate::runs::model::Run;
use crate::runs::queries::talk;
use crate::tasks::model::Task;
use crate::trust::queries as trust;
use kernel::{About, Notice, NoticeKind, RunId, WaitFor};
use store::{ReadExt as _, StoreError, WriteTx};

use super::{agent_name, called};

/// Delay of the first reminder.
const FIRST: SignedDuration = SignedDuration::from_hours(1);
/// Interval of further reminders.
const THEN: SignedDuration = SignedDuration::from_hours(24);
/// Maximum number of pending approvals to examine.
const MOST: usize = 500;

/// Notifies of a question or approval request.
pub(super) fn asks(
    tx: &mut WriteTx<'_>,
    run: RunId,
    what: WaitFor,
) -> Result<(), NotificationError> {
    let Some(run) = tx.get::<Run>(run)? else { return Ok(()) };
    let (kind, verb) = match what {
        WaitFor::Approval => (NoticeKind::ApprovalRequested, "asks for approval"),
        WaitFor::Browser => (NoticeKind::QuestionAsked, "needs you in its browser"),
        WaitFor::SignIn => (NoticeKind::QuestionAsked, "waits for a sign-in"),
        _ => (NoticeKind::QuestionAsked, "has a question"),
    };
    tell(tx, &run, kind, verb)?;
    if what == WaitFor::SignIn { tell_other_admins(tx, &run) } else { Ok(()) }
}

/// Notifies the admins to whom a conversation is private that its agent waits for a sign-in, which only admins can do.
fn tell_other_admins(tx: &mut WriteTx<'_>, run: &Run) -> Result<(), NotificationError> {
    let title = format!("{} waits for a sign-in", agent_name(tx, run.agent)?);
    let about = About::Agent(run.agent);
    let mut notice = Notice::new(NoticeKind::System, about, title).body(detail(run)).only();
    for admin in queries::admins(tx)? {
        if !talk::may_speak(tx, run, admin)? {
            notice = notice.to(admin);
        }
    }
    if notice.to.is_empty() {
        return Ok(());
    }
    rules::notify(tx, notice).map(drop)
}

fn detail(run: &Run) -> String {
    run.waiting.as_ref().map(|waiting| waiting.detail.clone()).unwrap_or_default()
}

fn tell(
    tx: &mut WriteTx<'_>,
    run: &Run,
    kind: NoticeKind,
    verb: &str,
) -> Result<(), NotificationError> {
    let agent = agent_name(tx, run.agent)?;
    let task = match run.task {
        Some(task) => tx.get::<Task>(task)?,
        None => None,
    };
    let on = match &task {
        Some(task) => format!(" on {}", called(tx, task)?),
        None => format!(" in {}", run.name()),
    };
    let notice = Notice::new(kind, About::Run(run.id), format!("{agent} {verb}{on}"));
    let notice = notice.body(detail(run));
    let notice = match run.waits_for() {
        // Nobody else can sign in.
        Some(WaitFor::SignIn) => notice.admins(),
        _ => notice.or_admins(),
    };
    rules::notify(tx, notice).map(drop)
}

/// Reminds people of pending approvals: after an hour, then daily. Returns the number of reminders.
pub fn remind(tx: &mut WriteTx<'_>) -> Result<usize, NotificationError> {
    let mut count = 0;
    for approval in trust::open(tx, MOST)? {
        let kind = NoticeKind::ApprovalRequested;
        let last = queries::last_told(tx, About::Run(approval.run), kind)?;
        // An earlier notification belongs to another call of the run.
        let last = last.unwrap_or(approval.asked_at).max(approval.asked_at);
        let pause = if last == approval.asked_at { FIRST } else { THEN };
        if tx.now() < last + pause {
            continue;
        }
        let Some(run) = waiting(tx, approval.run)? else { continue };
        tell(tx, &run, kind, "is still waiting for approval")?;
        count += 1;
    }
    Ok(count)
}

/// The run, if it waits for an approval.
fn waiting(tx: &WriteTx<'_>, run: RunId) -> Result<Option<Run>, StoreError> {
    let waits = |run: &Run| run.waits_for() == Some(WaitFor::Approval);
    Ok(tx.get::<Run>(run)?.filter(waits))
}
