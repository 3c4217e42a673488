//! All writes to deliverables. Versions and reviews are immutable. Agents never review.

use url::Url;

use super::model::{Answer, Content, Deliverable, Remark, Review, Version};
use crate::tasks::model::Task;
use crate::tasks::queries as tasks;
use crate::tasks::queries::error::TaskError;
use kernel::text::{MAX_TEXT, ellipsis};
use kernel::{
    DeliverableId, DeliverableState, Event, FieldError, Problem, ProblemKind, TaskId, Verdict,
    VersionId,
};
use store::{ReadExt, StoreError, WriteTx};

/// Maximum title length in characters.
const MAX_TITLE: usize = 200;
/// Maximum URL length in bytes.
const MAX_URL: usize = 2_048;
/// Maximum note length in bytes.
const MAX_NOTE: usize = 8 * 1024;
/// Maximum length of a remark or answer, in bytes.
const MAX_REMARK: usize = 2 * 1024;
/// Maximum number of remarks or answers.
const MAX_REMARKS: usize = 50;
/// Maximum length of a quoted passage, in bytes.
const MAX_QUOTE: usize = 300;
/// Maximum file size (25 MB).
pub const MAX_FILE: u64 = 25 * 1024 * 1024;

#[derive(Debug, thiserror::Error)]
pub enum DeliverableError {
    #[error("this task has no deliverable \"{0}\"; task_get lists them")]
    NotFound(String),
    #[error("{1}")]
    Invalid(&'static str, String),
    #[error("{0} is archived; restore it first")]
    Archived(String),
    /// An agent tried to review.
    #[error("only a person can review delivered work; wait for the review")]
    OnlyPeople,
    #[error("\"{title}\" is not in review: it is {state}; reload the page")]
    NotInReview { title: String, state: String },
    /// A newer version was submitted.
    #[error("there's a newer version ({0}); review that one first")]
    Newer(u32),
    #[error(transparent)]
    Task(#[from] TaskError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Problem for DeliverableError {
    fn code(&self) -> &'static str {
        match self {
            Self::NotFound(_) => "deliverable_not_found",
            Self::Invalid(..) => "invalid",
            Self::Archived(_) => "task_archived",
            Self::OnlyPeople => "only_people_review",
            Self::NotInReview { .. } => "not_in_review",
            Self::Newer(_) => "newer_version",
            Self::Task(error) => error.code(),
            Self::Store(error) => error.code(),
        }
    }

    fn kind(&self) -> ProblemKind {
        match self {
            Self::NotFound(_) => ProblemKind::NotFound,
            Self::Invalid(..) => ProblemKind::Invalid,
            Self::OnlyPeople => ProblemKind::Forbidden,
            Self::Archived(_) | Self::NotInReview { .. } | Self::Newer(_) => ProblemKind::Conflict,
            Self::Task(error) => error.kind(),
            Self::Store(error) => error.kind(),
        }
    }

    fn fields(&self) -> Vec<FieldError> {
        match self {
            Self::Invalid(field, message) => vec![FieldError::new(*field, message.clone())],
            _ => Vec::new(),
        }
    }
}

#[derive(Clone, Debug)]
pub struct NewDelivery {
    pub task: TaskId,
    /// Empty keeps the title of the revised deliverable.
    pub title: String,
    pub content: Content,
    /// The author's note.
    pub note: String,
    /// The deliverable of which this is the next version.
    pub revises: Option<DeliverableId>,
}

/// Submits a deliverable or a new version of one, and puts it in review.
///
/// # Errors
/// If the input is invalid, the task is archived, or there is no such deliverable to revise.
pub fn submit(
    tx: &mut WriteTx<'_>,
    new: NewDelivery,
) -> Result<(Deliverable, Version), DeliverableError> {
    submit_answering(tx, new, Vec::new())
}

/// Like [`submit`], with answers to the changes requested in the previous review, in the same order.
pub fn submit_answering(
    tx: &mut WriteTx<'_>,
    new: NewDelivery,
    answers: Vec<Answer>,
) -> Result<(Deliverable, Version), DeliverableError> {
    let task = usable(tx, new.task)?;
    let answers = check_answers(answers)?;
    let content = check_content(new.content)?;
    let note = new.note.trim().to_owned();
    if MAX_NOTE < note.len() {
        return Err(DeliverableError::Invalid("note", "Notes can have at most 8 KB.".to_owned()));
    }
    let now = tx.now();
    let (id, title, number, created_at) = match new.revises {
        None => (tx.new_id(), check_title(&new.title)?, 1, now),
        Some(id) => {
            let old = of_task(tx, id, task.id)?;
            let title = match new.title.trim() {
                "" => old.title,
                title => check_title(title)?,
            };
            (id, title, old.versions + 1, old.created_at)
        }
    };
    let version = Version {
        id: tx.new_id(),
        deliverable: id,
        task: task.id,
        number,
        content,
        note,
        run: tx.by().run(),
        created_at: now,
        answers,
    };
    let deliverable = Deliverable {
        id,
        task: task.id,
        title,
        state: DeliverableState::InReview,
        version: version.id,
        versions: number,
        submitted_by: tx.by(),
        created_at,
        updated_at: now,
    };
    tx.put(&deliverable)?;
    tx.put(&version)?;
    tx.emit(Event::DeliverableSubmitted { deliverable: id, version: version.id, task: task.id });
    Ok((deliverable, version))
}

#[derive(Clone, Debug)]
pub struct NewReview {
    pub deliverable: DeliverableId,
    /// The reviewed version. `None` means the latest.
    pub version: Option<VersionId>,
    pub verdict: Verdict,
    /// Required unless approved.
    pub note: String,
}

/// Approves, requests changes or rejects.
///
/// # Errors
/// If an agent acts, a note is missing, the deliverable is not in review, or a newer version was submitted.
pub fn review(tx: &mut WriteTx<'_>, new: NewReview) -> Result<Deliverable, DeliverableError> {
    review_with(tx, new, Vec::new())
}

/// Like [`review`], with remarks on single passages.
pub fn review_with(
    tx: &mut WriteTx<'_>,
    new: NewReview,
    remarks: Vec<Remark>,
) -> Result<Deliverable, DeliverableError> {
    let remarks = check_remarks(remarks)?;
    let by = tx.by().account().ok_or(DeliverableError::OnlyPeople)?;
    let mut piece = tx
        .get::<Deliverable>(new.deliverable)?
        .ok_or_else(|| DeliverableError::NotFound(new.deliverable.to_string()))?;
    usable(tx, piece.task)?;
    if new.version.is_some_and(|seen| seen != piece.version) {
        return Err(DeliverableError::Newer(piece.versions));
    }
    if piece.state != DeliverableState::InReview {
        let (title, state) = (piece.title, piece.state.label().to_lowercase());
        return Err(DeliverableError::NotInReview { title, state });
    }
    let note = new.note.replace("\r\n", "\n").trim().to_owned();
    // Remarks alone justify requesting changes, but not rejecting.
    let has_text =
        !note.is_empty() || !remarks.is_empty() && new.verdict == Verdict::ChangesRequested;
    if !has_text && new.verdict != Verdict::Approved {
        let what = match new.verdict {
            Verdict::Rejected => "Say why, so that the next version is better.",
            _ => "Say what should change.",
        };
        return Err(DeliverableError::Invalid("note", what.to_owned()));
    }
    if MAX_NOTE < note.len() {
        return Err(DeliverableError::Invalid("note", "Notes can have at most 8 KB.".to_owned()));
    }
    let (version, task, now) = (piece.version, piece.task, tx.now());
    let verdict = new.verdict;
    tx.put(&Review { version, task, by, verdict, note, created_at: now, remarks })?;
    piece.state = match new.verdict {
        Verdict::Approved => DeliverableState::Approved,
        Verdict::ChangesRequested => DeliverableState::ChangesRequested,
        Verdict::Rejected => DeliverableState::Rejected,
    };
    piece.updated_at = now;
    tx.put(&piece)?;
    tx.emit(Event::DeliverableReviewed {
        deliverable: piece.id,
        version,
        task,
        verdict: new.verdict,
        submitter: piece.submitted_by.agent(),
    });
    Ok(piece)
}

fn usable(tx: &WriteTx<'_>, id: TaskId) -> Result<Task, DeliverableError> {
    let task = tasks::get(tx, id)?;
    match task.archived_at {
        Some(_) => Err(DeliverableError::Archived(tasks::name(tx, task.number)?)),
        None => Ok(task),
    }
}

fn of_task(
    tx: &WriteTx<'_>,
    id: DeliverableId,
    task: TaskId,
) -> Result<Deliverable, DeliverableError> {
    let piece = tx.get::<Deliverable>(id)?.filter(|piece| piece.task == task);
    piece.ok_or_else(|| DeliverableError::NotFound(id.to_string()))
}

fn check_answers(answers: Vec<Answer>) -> Result<Vec<Answer>, DeliverableError> {
    let long = answers.iter().any(|answer| MAX_REMARK < answer.note.len());
    if long || MAX_REMARKS < answers.len() {
        let wrong = format!("Use at most {MAX_REMARKS} answers of at most 2 KB each.");
        return Err(DeliverableError::Invalid("answers", wrong));
    }
    let tidy = |answer: Answer| Answer { note: answer.note.trim().to_owned(), ..answer };
    Ok(answers.into_iter().map(tidy).collect())
}

/// Validates remarks and drops empty ones.
fn check_remarks(remarks: Vec<Remark>) -> Result<Vec<Remark>, DeliverableError> {
    let tidy = |one: Remark| Remark {
        quote: ellipsis(&one.quote.split_whitespace().collect::<Vec<_>>().join(" "), MAX_QUOTE),
        text: one.text.replace("\r\n", "\n").trim().to_owned(),
    };
    let mut remarks: Vec<Remark> = remarks.into_iter().map(tidy).collect();
    remarks.retain(|one| !one.text.is_empty());
    let long = remarks.iter().any(|one| MAX_REMARK < one.text.len());
    if long || MAX_REMARKS < remarks.len() {
        let wrong = format!("Use at most {MAX_REMARKS} comments of at most 2 KB each.");
        return Err(DeliverableError::Invalid("remarks", wrong));
    }
    Ok(remarks)
}

fn check_title(text: &str) -> Result<String, DeliverableError> {
    let title = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let wrong = match title.chars().count() {
        0 => "Enter a title.",
        n if MAX_TITLE < n => "Titles can have at most 200 characters.",
        _ => return Ok(title),
    };
    Err(DeliverableError::Invalid("title", wrong.to_owned()))
}

fn check_content(content: Content) -> Result<Content, DeliverableError> {
    let wrong = |message: &str| Err(DeliverableError::Invalid("body", message.to_owned()));
    match content {
        Content::Text(text) => match text.trim().is_empty() {
            true => wrong("The text is empty."),
            false if MAX_TEXT < text.len() => {
                wrong("Text can have at most 64 KB. Write it to a file and deliver kind \"file\".")
            }
            false => Ok(Content::Text(text.replace("\r\n", "\n"))),
        },
        Content::Page { text, .. } if text.trim().is_empty() => wrong("The page is empty."),
        Content::Page { text, .. } if MAX_TEXT < text.len() => {
            wrong("A delivered page can have at most 64 KB. Split it into several.")
        }
        Content::Page { .. } => Ok(content),
        Content::Url(address) => {
            let address = address.trim();
            let web = |url: &Url| {
                matches!(url.scheme(), "http" | "https")
                    && url.host_str().is_some()
                    && url.username().is_empty()
                    && url.password().is_none()
            };
            match Url::parse(address).ok().filter(web) {
                Some(url) if url.as_str().len() <= MAX_URL => Ok(Content::Url(url.into())),
                Some(_) => wrong("This URL is too long."),
                None => wrong("Enter a full web address, such as https://example.com/page."),
            }
        }
        Content::File { name, blob, size } => {
            let plain = !name.is_empty()
                && name.len() <= 255
                && !name.contains(['/', '\\', '"'])
                && !name.chars().any(char::is_control);
            match plain {
                true if size <= MAX_FILE => Ok(Content::File { name, blob, size }),
                true => wrong("Files can have at most 25 MB."),
                false => wrong("This file name isn’t allowed."),
            }
        }
    }
}
