//! What an admin does with a consumer. Where a consumer stands is no part of the feed, so that it can
//! come to rest; that a person moved it is.

use crate::global_search::queries::standing as index;
use app::Ws;
use kernel::{Event, FieldError, Problem, ProblemKind};
use store::consumer::{self, Consume, ConsumeError, Told, Tried};
use store::{Cursor, StoreError, WriteTx};

/// Why it was refused.
#[derive(Debug, thiserror::Error)]
pub enum HealthError {
    /// No such consumer.
    #[error("there is no consumer `{0}`")]
    NoConsumer(String),
    /// No such thing to do.
    #[error("`{0}` cannot be done; pause, resume, skip, rewind or rebuild it")]
    NoAct(String),
    /// The consumer refused.
    #[error("{0}")]
    Refused(String),
    /// A field is wrong.
    #[error("{message}")]
    Field {
        /// Its name.
        field: &'static str,
        /// What is wrong and what would be right.
        message: String,
    },
    /// The store refused.
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

/// What is to be done with a consumer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// It stands still until it is resumed.
    Pause,
    /// It goes on.
    Resume,
    /// The entry behind its cursor goes to the dead letters; where one is named, that one or none.
    Skip(Option<u64>),
    /// The next entry it takes is the one behind this.
    Rewind(u64),
    /// It begins from nothing.
    Rebuild,
}

impl Act {
    /// From a word and an entry: a rewind needs one, a skip may name the one that is expected.
    ///
    /// # Errors
    /// When there is no such thing to do, or the entry is missing.
    pub fn from_word(word: &str, entry: Option<u64>) -> Result<Self, HealthError> {
        Ok(match word {
            "pause" => Self::Pause,
            "resume" => Self::Resume,
            "skip" => Self::Skip(entry),
            "rewind" => {
                let text = "write the number of the entry behind which it is to go on";
                let missing = || HealthError::Field { field: "to", message: text.to_owned() };
                Self::Rewind(entry.ok_or_else(missing)?)
            }
            "rebuild" => Self::Rebuild,
            other => return Err(HealthError::NoAct(other.to_owned())),
        })
    }

    /// What was done, in the past.
    #[must_use]
    pub fn done(self) -> String {
        match self {
            Self::Pause => "paused".to_owned(),
            Self::Resume => "resumed".to_owned(),
            Self::Skip(Some(entry)) => format!("skipped entry {entry} of"),
            Self::Skip(None) => "skipped an entry of".to_owned(),
            Self::Rewind(_) => "sent back".to_owned(),
            Self::Rebuild => "began to rebuild".to_owned(),
        }
    }
}

/// Does it, and notes that somebody did.
///
/// # Errors
/// When the consumer cannot do that.
pub fn act(tx: &mut WriteTx<'_>, consumer: &dyn Consume, act: Act) -> Result<(), HealthError> {
    let (number, mut done) = (consumer.number(), act);
    match act {
        Act::Pause => consumer::pause(tx, number)?,
        Act::Resume => consumer::resume(tx, number)?,
        Act::Skip(Some(entry)) => consumer::skip_only(tx, number, entry)?,
        Act::Skip(None) => {
            let skipped = consumer::skip(tx, number)?;
            let nothing = || HealthError::Refused("it has taken every entry already".to_owned());
            done = Act::Skip(Some(skipped.ok_or_else(nothing)?));
        }
        Act::Rewind(to) => consumer::rewind(tx, consumer, to)?,
        Act::Rebuild => consumer::rebuild(tx, consumer)?,
    }
    let act = format!("{} the {}", done.done(), consumer.name());
    tx.emit(Event::ConsumerChanged { consumer: number, act });
    Ok(())
}

/// Where the search index of a workspace stands; nothing where there is none yet.
pub async fn index_stands(ws: &Ws) -> Result<Option<Cursor>, StoreError> {
    let standing = ws.read_blocking(index::standing).await?;
    Ok(standing.map(|one| Cursor { incarnation: one.state.incarnation, seq: one.state.cursor }))
}

/// Tells the search index to be made anew, or to go back from where it stands, and notes who did. It lies beside
/// the store, and nothing else can be done with it. The caller wakes it.
///
/// # Errors
/// `Refused` for anything else, and when it has not come so far.
pub fn steer_index(
    tx: &mut WriteTx<'_>,
    act: Act,
    stands: Option<Cursor>,
) -> Result<(), HealthError> {
    let refused = |text: &str| HealthError::Refused(text.to_owned());
    let told = match (act, stands) {
        (Act::Rebuild, _) => Told::Anew,
        (Act::Rewind(seq), Some(at)) if seq <= at.seq => {
            Told::Back { incarnation: at.incarnation, seq }
        }
        (Act::Rewind(_), Some(at)) => {
            let text = format!("it stands at {}, and can only be sent back", at.seq);
            return Err(HealthError::Refused(text));
        }
        (Act::Rewind(_), None) => {
            return Err(refused("there is no search index before somebody has searched"));
        }
        _ => {
            return Err(refused(
                "the search index follows by itself and gives up what it cannot read; it can only be \
                 sent back or rebuilt",
            ));
        }
    };
    consumer::tell(tx, index::NUMBER, told)?;
    let act = format!("{} the search index", act.done());
    tx.emit(Event::ConsumerChanged { consumer: index::NUMBER, act });
    Ok(())
}

/// Forgets an entry that was given up.
///
/// # Errors
/// When it is not among the dead letters.
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

/// Tries an entry again that was given up, and notes that somebody did; says what went wrong this time.
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
    // It takes no entry by itself: what can be read again is a reason to make it anew.
    if tried.is_ok() && consumer.number() == index::NUMBER {
        consumer::tell(tx, index::NUMBER, Told::Anew)?;
    }
    let verb = if tried.is_ok() { "tried again" } else { "tried in vain" };
    let act = format!("{verb} entry {seq} of the {}", consumer.name());
    tx.emit(Event::ConsumerChanged { consumer: consumer.number(), act });
    Ok(tried)
}
