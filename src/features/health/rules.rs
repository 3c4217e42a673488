//! Manual operations on consumers. A consumer's position is not recorded in the feed, so that consumers can become
//! idle; moving it manually is.

use crate::global_search::queries::standing as index;
use app::Ws;
use kernel::{Event, FieldError, Problem, ProblemKind};
use store::consumer::{self, Consume, ConsumeError, Told, Tried};
use store::{Cursor, StoreError, WriteTx};

#[derive(Debug, thiserror::Error)]
pub enum HealthError {
    #[error("there is no consumer `{0}`")]
    NoConsumer(String),
    #[error("there is no action `{0}`; use pause, resume, skip, rewind or rebuild")]
    NoAct(String),
    /// The consumer does not support the operation.
    #[error("{0}")]
    Refused(String),
    #[error("{message}")]
    Field {
        field: &'static str,
        /// What is wrong and what would be right.
        message: String,
    },
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<ConsumeError> for HealthError {
    fn from(error: ConsumeError) -> Self {
        match error {
            ConsumeError::Store(error) => Self::Store(error),
            ConsumeError::Refused(text) => Self::Refused(text),
            ConsumeError::StartOver => Self::Refused(error.to_string()),
        }
    }
}

impl Problem for HealthError {
    fn code(&self) -> &'static str {
        match self {
            Self::NoConsumer(_) => "no_consumer",
            Self::NoAct(_) => "no_act",
            Self::Refused(_) => "refused",
            Self::Field { .. } => "invalid",
            Self::Store(error) => error.code(),
        }
    }

    fn kind(&self) -> ProblemKind {
        match self {
            Self::NoConsumer(_) | Self::NoAct(_) => ProblemKind::NotFound,
            Self::Refused(_) => ProblemKind::Conflict,
            Self::Field { .. } => ProblemKind::Invalid,
            Self::Store(error) => error.kind(),
        }
    }

    fn fields(&self) -> Vec<FieldError> {
        match self {
            Self::Field { field, message } => vec![FieldError::new(*field, message)],
            _ => Vec::new(),
        }
    }
}

/// Operation on a consumer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Stop until resumed.
    Pause,
    Resume,
    /// Move the entry after the cursor to the dead letters. With a number, only if it is that entry.
    Skip(Option<u64>),
    /// Continue after this entry.
    Rewind(u64),
    /// Start from scratch.
    Rebuild,
}

impl Act {
    /// Parses an operation. `rewind` needs an entry; `skip` may name the expected one.
    ///
    /// # Errors
    /// If the operation is unknown or the entry is missing.
    pub fn from_word(word: &str, entry: Option<u64>) -> Result<Self, HealthError> {
        Ok(match word {
            "pause" => Self::Pause,
            "resume" => Self::Resume,
            "skip" => Self::Skip(entry),
            "rewind" => {
                let text = "enter the number of the entry to continue after";
                let missing = || HealthError::Field { field: "to", message: text.to_owned() };
                Self::Rewind(entry.ok_or_else(missing)?)
            }
            "rebuild" => Self::Rebuild,
            other => return Err(HealthError::NoAct(other.to_owned())),
        })
    }

    /// Past participle for messages.
    #[must_use]
    pub fn done(self) -> String {
        match self {
            Self::Pause => "paused".to_owned(),
            Self::Resume => "resumed".to_owned(),
            Self::Skip(Some(entry)) => format!("skipped entry {entry} of"),
            Self::Skip(None) => "skipped an entry of".to_owned(),
            Self::Rewind(_) => "rewound".to_owned(),
            Self::Rebuild => "started rebuilding".to_owned(),
        }
    }
}

/// Performs an operation and records it.
///
/// # Errors
/// If the consumer does not support it.
pub fn act(tx: &mut WriteTx<'_>, consumer: &dyn Consume, act: Act) -> Result<(), HealthError> {
    let (number, mut done) = (consumer.number(), act);
    match act {
        Act::Pause => consumer::pause(tx, number)?,
        Act::Resume => consumer::resume(tx, number)?,
        Act::Skip(Some(entry)) => consumer::skip_only(tx, number, entry)?,
        Act::Skip(None) => {
            let skipped = consumer::skip(tx, number)?;
            let nothing =
                || HealthError::Refused("it has already processed every entry".to_owned());
            done = Act::Skip(Some(skipped.ok_or_else(nothing)?));
        }
        Act::Rewind(to) => consumer::rewind(tx, consumer, to)?,
        Act::Rebuild => consumer::rebuild(tx, consumer)?,
    }
    let act = format!("{} the {}", done.done(), consumer.name());
    tx.emit(Event::ConsumerChanged { consumer: number, act });
    Ok(())
}

/// Position of a workspace's search index. `None` if there is no index yet.
pub async fn index_stands(ws: &Ws) -> Result<Option<Cursor>, StoreError> {
    let standing = ws.read_blocking(index::standing).await?;
    Ok(standing.map(|one| Cursor { incarnation: one.state.incarnation, seq: one.state.cursor }))
}

/// Requests a rebuild or rewind of the search index and records it. The index is stored outside the store and supports
/// nothing else. The caller must wake it.
///
/// # Errors
/// `Refused` for other operations, and for a rewind to a position that it has not reached.
pub fn steer_index(
    tx: &mut WriteTx<'_>,
    act: Act,
    stands: Option<Cursor>,
) -> Result<(), HealthError> {
    let refused = |text: &str| HealthError::Refused(text.to_owned());
    let order = match (act, stands) {
        (Act::Rebuild, _) => Told::Anew,
        (Act::Rewind(seq), Some(at)) if seq <= at.seq => {
            Told::Back { incarnation: at.incarnation, seq }
        }
        (Act::Rewind(_), Some(at)) => {
            let text = format!("it is at {} and can only be rewound", at.seq);
            return Err(HealthError::Refused(text));
        }
        (Act::Rewind(_), None) => {
            return Err(refused("there is no search index until someone has searched"));
        }
        _ => {
            return Err(refused(
                "the search index updates automatically and skips what it can't read; it can \
                 only be rewound or rebuilt",
            ));
        }
    };
    consumer::tell(tx, index::NUMBER, order)?;
    let act = format!("{} the search index", act.done());
    tx.emit(Event::ConsumerChanged { consumer: index::NUMBER, act });
    Ok(())
}

/// Deletes a dead letter.
///
/// # Errors
/// If there is no such dead letter.
pub fn drop_letter(
    tx: &mut WriteTx<'_>,
    consumer: &dyn Consume,
    seq: u64,
) -> Result<(), HealthError> {
    let number = consumer.number();
    if !consumer::drop_letter(tx, number, seq)? {
        return Err(HealthError::Refused(format!("entry {seq} is not among its dead letters")));
    }
    let act = format!("dropped entry {seq} of the {}", consumer.name());
    tx.emit(Event::ConsumerChanged { consumer: number, act });
    Ok(())
}

/// Retries a dead letter and records the attempt. Returns the error if it failed again.
pub fn retry(
    tx: &mut WriteTx<'_>,
    consumer: &dyn Consume,
    seq: u64,
) -> Result<Result<(), String>, HealthError> {
    let tried = consumer::retry(tx, consumer, seq)?;
    let tried = match tried {
        Tried::Nothing(why) => return Ok(Err(why)),
        Tried::Took => Ok(()),
        Tried::Failed(why) => Err(why),
    };
    // The index takes no single entries. If the entry is readable again, rebuild the index.
    if tried.is_ok() && consumer.number() == index::NUMBER {
        consumer::tell(tx, index::NUMBER, Told::Anew)?;
    }
    let verb = if tried.is_ok() { "retried" } else { "retried without success" };
    let act = format!("{verb} entry {seq} of the {}", consumer.name());
    tx.emit(Event::ConsumerChanged { consumer: consumer.number(), act });
    Ok(tried)
}
