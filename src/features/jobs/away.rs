//! Jobs on another host: their output is stored there and their input is sent there. The primary requests both while
//! the host is linked. This module has both sides of the protocol.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use app::Ws;
use app::downstream::SILENT;
use app::upstream::Refusal;
use crypto::redact::Spot;
use kernel::text::cut;
use kernel::{JobId, Problem};
use store::{Read, ReadExt as _, StoreError};

use super::model::Job;
use super::queries::{self, MAX_READ, Written};
use super::rules::JobError;
use super::typing::{self, TerminalInput, TextId};
use crate::agents::queries::elsewhere::{self, Elsewhere};

/// A request of the primary to a job's host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Asks {
    /// Output, and whether the job reads input.
    Output {
        job: JobId,
        /// First byte. `None` requests the end of the output.
        from: Option<u64>,
        /// Maximum number of bytes.
        most: usize,
    },
    /// Input for the job.
    Input {
        job: JobId,
        /// Text, including the line break.
        text: String,
        /// `true` closes the input.
        end: bool,
        /// Idempotency id: a repeated text gets its first response. `None` from primaries that do not repeat.
        #[serde(default)]
        number: Option<TextId>,
    },
}

impl Asks {
    /// JSON form of the request.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({ "job": self })
    }
}

/// Response to `Output`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Heard {
    text: String,
    from: u64,
    next: u64,
    reads: bool,
}

/// Response to `Input`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Took {
    /// Number of bytes accepted.
    All(usize),
    Part {
        taken: usize,
        of: usize,
    },
    /// The input is closed.
    Deaf,
    Ended,
}

/// State of a job, as far as known here.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// The requested part of the output.
    pub written: Written,
    /// `true` if the job reads input.
    pub reads: bool,
    /// Host of a running remote job. `None` for a local or ended job.
    pub place: Option<Elsewhere>,
    /// Why the host does not report the output, as a sentence. Empty if it does or is silent.
    pub lack: String,
}

impl Seen {
    /// Returns `true` if the output is known here.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.lack.is_empty() && self.silent().is_none()
    }

    /// The job's host, if it is silent.
    #[must_use]
    pub fn silent(&self) -> Option<&Elsewhere> {
        self.place.as_ref().filter(|place| !place.is_linked)
    }
}

/// Host of a running remote job. `None` for a local or ended job.
pub fn place(ws: &Ws, read: &dyn Read, job: &Job) -> Result<Option<Elsewhere>, StoreError> {
    match job.goes_on() {
        true => elsewhere::at(ws, read, job.agent),
        false => Ok(None),
    }
}

/// Part of a job's output, local or remote: from this byte on, or the end of it.
pub async fn read_output(
    ws: &Ws,
    job: &Job,
    from: Option<u64>,
    most: usize,
) -> Result<Seen, StoreError> {
    let place = ws.read(|snap| place(ws, snap, job))?;
    let Some(mut place) = place.filter(|_| job.is_running()) else {
        let (own, one) = (ws.clone(), job.clone());
        let read = tokio::task::spawn_blocking(move || queries::written(&own, &one, from, most));
        let (written, reads) = (read.await.unwrap_or_default(), ws.inputs.open(job.id).is_some());
        return Ok(Seen { written, reads, ..Seen::default() });
    };
    let start = from.unwrap_or(0);
    let nothing = Written { text: String::new(), from: start, next: start };
    let mut seen = Seen { written: nothing, ..Seen::default() };
    let most = most.min(MAX_READ);
    let asks = Asks::Output { job: job.id, from, most };
    match ask::<Heard>(ws, &place, &asks).await {
        Ok(Heard { text, from, next, reads }) => {
            let text = ws.app.redactor.masked(Spot::Tools, cut(&text, MAX_READ)).into_owned();
            seen.written = Written { text, from, next };
            seen.reads = reads;
        }
        Err(refusal) if refusal.code == SILENT => place.is_linked = false,
        Err(refusal) => seen.lack = format!("{}: {}.", place.label, refusal.sentence),
    }
    seen.place = Some(place);
    Ok(seen)
}

/// Writes to a remote job. Returns the number of bytes.
///
/// # Errors
/// `Ended`, `Deaf`; `FullInput` if only part was accepted; `Silent` and `Told` if the host does not handle it.
pub(super) async fn write(
    ws: &Ws,
    place: &Elsewhere,
    job: &Job,
    input: TerminalInput,
    number: TextId,
) -> Result<usize, JobError> {
    let TerminalInput { text, end } = input;
    let asks = Asks::Input { job: job.id, text, end, number: Some(number) };
    match ask::<Took>(ws, place, &asks).await {
        Ok(Took::All(bytes)) => Ok(bytes),
        Ok(Took::Part { taken, of }) => Err(JobError::FullInput { taken, of }),
        Ok(Took::Deaf) => Err(JobError::Deaf(job.number)),
        Ok(Took::Ended) => Err(JobError::Ended(job.number)),
        Err(refusal) if refusal.code == SILENT => Err(JobError::Silent(place.label.clone())),
        Err(refusal) => Err(JobError::Told(format!("{}: {}", place.label, refusal.sentence))),
    }
}

async fn ask<T: DeserializeOwned>(ws: &Ws, place: &Elsewhere, asks: &Asks) -> Result<T, Refusal> {
    let answer = ws.app.hosts.ask(ws, place.gateway, asks.to_json()).await?;
    let garbled = |_| Refusal::new("garbled", "its response is invalid");
    serde_json::from_value(answer).map_err(garbled)
}

/// Handles a request of the primary on the job's host. Blocking.
///
/// # Errors
/// If there is no such job here or the request cannot be handled.
pub fn answer(ws: &Ws, asks: Asks) -> Result<Value, Refusal> {
    let of = match &asks {
        Asks::Output { job, .. } | Asks::Input { job, .. } => *job,
    };
    let found = ws.read(|snap| snap.get::<Job>(of));
    let job = found.map_err(|error: StoreError| refusal(&error.into()))?;
    let job = job.ok_or_else(|| Refusal::new("job_not_found", "it doesn't run on this machine"))?;
    let json = match asks {
        Asks::Output { from, most, .. } => {
            let Written { text, from, next } = queries::written(ws, &job, from, most);
            let reads = ws.inputs.open(job.id).is_some();
            serde_json::to_value(Heard { text, from, next, reads })
        }
        Asks::Input { text, end, number, .. } => {
            let input = TerminalInput { text, end };
            let taken = match number {
                Some(number) => typing::write_once(ws, &job, &input, number),
                None => typing::write(ws, &job, &input),
            };
            let took = match taken {
                Ok(bytes) => Took::All(bytes),
                Err(JobError::FullInput { taken, of }) => Took::Part { taken, of },
                Err(JobError::Deaf(_)) => Took::Deaf,
                Err(JobError::Ended(_)) => Took::Ended,
                Err(error) => return Err(refusal(&error)),
            };
            serde_json::to_value(took)
        }
    };
    json.map_err(|_| Refusal::new("internal", "its state is unknown"))
}

fn refusal(error: &JobError) -> Refusal {
    Refusal::new(error.code(), error.to_string())
}

#[cfg(test)]
mod tests {
    use super::{Asks, Heard, TextId, Took, Value, json};
    use kernel::{JobId, TypedId as _};

    fn round_trip<T: serde::Serialize + serde::de::DeserializeOwned>(what: &T) -> T {
        serde_json::from_value(serde_json::to_value(what).unwrap()).unwrap()
    }

    #[test]
    fn a_question_and_its_answer_are_the_same_at_the_other_end() {
        let job = JobId::from_bytes([16; 16]);
        let asks = Asks::Output { job, from: Some(u64::MAX), most: 7 };
        let mut sent = asks.to_json();
        let inner: Value = sent["job"].take();
        assert_eq!(serde_json::from_value::<Asks>(inner).unwrap(), asks);
        let number = Some(TextId::from_bytes([17; 16]));
        let input = Asks::Input { job, text: "yes\n".to_owned(), end: true, number };
        assert_eq!(round_trip(&input), input);
        let plain = json!({ "input": { "job": job, "text": "yes\n", "end": true } });
        let Asks::Input { number, .. } = serde_json::from_value(plain).unwrap() else {
            panic!("it is a text")
        };
        assert_eq!(number, None, "a home that has no numbers is understood");
        let heard = Heard { text: "one\n".to_owned(), from: 3, next: 7, reads: true };
        assert_eq!(round_trip(&heard), heard);
        for took in [Took::All(4), Took::Part { taken: 1, of: 4 }, Took::Deaf, Took::Ended] {
            assert_eq!(round_trip(&took), took);
        }
    }
}
