//! Streams a response as server-sent events.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::Response;
use futures_util::stream;
use tokio::sync::broadcast::{Receiver, error::RecvError};
use tokio::sync::mpsc;
use tokio::time::{Instant, interval_at};

use app::live::{BlockKind, Piece};

use super::activity::{self, Activity, ToolSeen};
use super::error::ChatError;
use super::form::Form;
use super::turn::{StopOnDrop, Turn};

/// Interval of keep-alive comments.
const BEAT: Duration = web::sse::BEAT;
/// Number of chunks queued for a slow client; beyond that the hub merges pieces.
const WAITING: usize = 64;

/// Inputs of a stream.
pub(super) struct Telling {
    pub turn: Turn,
    /// The text as the model writes it.
    pub pieces: Receiver<Arc<Piece>>,
    /// The response format.
    pub form: Box<dyn Form>,
    /// Stops the run if the client disconnects, for a session made for this request only.
    pub guard: Option<StopOnDrop>,
    /// For a client that requests events of the agent's own tools.
    pub activity: Option<Activity>,
    /// Whether a response format was requested: then only the final text is sent, at the end.
    pub formed: bool,
}

/// Responds with a stream that a spawned task fills.
pub(super) fn answer(telling: Telling) -> Response {
    let (out, chunks) = mpsc::channel::<Bytes>(WAITING);
    let app = telling.turn.ws.app.clone();
    app.spawn("stream of an answer", async move {
        // ok: the client has disconnected, and the guard stops the run.
        let _ = tell(telling, out).await;
    });
    let chunks = stream::unfold(chunks, |mut chunks| async move {
        chunks.recv().await.map(|bytes| (Ok::<_, Infallible>(bytes), chunks))
    });
    let mut response = Response::new(Body::from_stream(chunks));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

/// The client has disconnected.
struct Gone;

async fn send(out: &mpsc::Sender<Bytes>, events: String) -> Result<(), Gone> {
    if events.is_empty() {
        return Ok(());
    }
    out.send(events.into()).await.map_err(|_| Gone)
}

async fn tell(telling: Telling, out: mpsc::Sender<Bytes>) -> Result<(), Gone> {
    let Telling { mut turn, mut pieces, mut form, mut guard, mut activity, formed } = telling;
    send(&out, form.begin()).await?;
    let mut relay = Relay::default();
    let mut beat = interval_at(Instant::now() + BEAT, BEAT);
    let ended = loop {
        tokio::select! {
            biased;
            () = out.closed() => return Err(Gone),
            piece = pieces.recv(), if !formed => {
                let taken = match piece {
                    Ok(piece) if piece.run == turn.run => relay.take_of(&turn, &piece),
                    Ok(_) | Err(RecvError::Closed) => continue,
                    Err(RecvError::Lagged(_)) => Ok(Took::Gap),
                };
                let taken = match taken {
                    Ok(Took::Gap) => match turn.ws.live.block(turn.run) {
                        Some(block) => relay.take_of(&turn, &block),
                        None => Ok(Took::Nothing),
                    },
                    taken => taken,
                };
                match taken {
                    Ok(Took::Text(text)) => {
                        turn.sent_step = relay.step;
                        send(&out, form.more(&text)).await?;
                    }
                    Ok(Took::Nothing | Took::Gap) => {}
                    Err(error) => break Err(error),
                }
            }
            seen = activity::more(&mut activity) => match seen {
                Ok(seen) => send(&out, tool_lines(&mut *form, &seen)).await?,
                Err(error) => break Err(error.into()),
            },
            ended = turn.ended() => break ended,
            _ = beat.tick() => {
                // No event reports an expired token.
                if let Err(error) = turn.check() {
                    break Err(error);
                }
                out.send(Bytes::from_static(b": ping\n\n")).await.map_err(|_| Gone)?;
            }
        }
    };
    // Without a response, a run made for this request only is stopped.
    if let Some(guard) = guard.as_mut().filter(|_| ended.is_ok()) {
        guard.disarm();
    }
    if let Some(Ok(seen)) = activity.as_mut().map(Activity::read) {
        send(&out, tool_lines(&mut *form, &seen)).await?;
    }
    let answer = ended.and_then(|run| turn.answer(&run));
    match answer {
        Ok(answer) => {
            if let Some(rest) = relay.rest(&answer.text) {
                send(&out, form.more(&rest)).await?;
            }
            send(&out, form.end(&answer)).await?;
        }
        Err(error) => send(&out, form.failed(&error)).await?,
    }
    out.send(Bytes::from_static(b"data: [DONE]\n\n")).await.map_err(|_| Gone)
}

fn tool_lines(form: &mut dyn Form, seen: &[ToolSeen]) -> String {
    seen.iter().map(|seen| form.tool(seen)).collect()
}

/// What to do with a piece.
#[derive(Debug, PartialEq, Eq)]
enum Took {
    /// Send this text.
    Text(String),
    /// Nothing to send.
    Nothing,
    /// Pieces are missing: read the whole block.
    Gap,
}

/// Text of the current block that the client has received. A resumed run starts the block of its call again; text
/// already sent is not repeated.
#[derive(Default)]
struct Relay {
    step: Option<u32>,
    /// The block as the model writes it.
    block: String,
    /// The part that was sent.
    sent: String,
    /// Whether text was sent before this block.
    before: bool,
}

impl Relay {
    /// Processes a piece. The first piece of another call arrives after the end of the previous call was written.
    ///
    /// # Errors
    /// The previous call broke off after some of its text was sent.
    fn take_of(&mut self, turn: &Turn, piece: &Piece) -> Result<Took, ChatError> {
        if self.step != Some(piece.step) && !self.sent.is_empty() {
            turn.check_told()?;
        }
        Ok(self.take(piece))
    }

    fn take(&mut self, piece: &Piece) -> Took {
        if piece.kind != BlockKind::Text || piece.text.is_empty() {
            return Took::Nothing;
        }
        if self.step != Some(piece.step) {
            self.before |= !self.sent.is_empty();
            (self.step, self.block, self.sent) = (Some(piece.step), String::new(), String::new());
        }
        let Some(have) = self.block.get(piece.at..) else { return Took::Gap };
        if have.is_empty() && self.sent.len() == self.block.len() && !self.sent.is_empty() {
            self.block.push_str(&piece.text);
            self.sent.push_str(&piece.text);
            return Took::Text(piece.text.clone());
        }
        if !have.starts_with(&piece.text) {
            self.block.truncate(piece.at);
            self.block.push_str(&piece.text);
        }
        self.say()
    }

    /// The part of the block that was not sent yet.
    fn say(&mut self) -> Took {
        if self.sent.starts_with(&self.block) {
            return Took::Nothing;
        }
        let text = match self.block.strip_prefix(&self.sent) {
            Some(more) if self.sent.is_empty() && self.before => format!("\n\n{more}"),
            Some(more) => more.to_owned(),
            None => format!("\n\n{}", self.block),
        };
        self.sent.clone_from(&self.block);
        Took::Text(text)
    }

    /// The part of the final text that was not sent yet.
    fn rest(&mut self, text: &str) -> Option<String> {
        if text.is_empty() {
            return None;
        }
        text.clone_into(&mut self.block);
        match self.say() {
            Took::Text(rest) => Some(rest),
            Took::Nothing | Took::Gap => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Relay, Took};
    use app::live::{BlockKind, Piece};
    use kernel::{RunId, TypedId};

    fn piece(step: u32, at: usize, text: &str) -> Piece {
        let run = RunId::from_bytes([1; 16]);
        Piece { run, step, kind: BlockKind::Text, at, text: text.to_owned() }
    }

    fn tool_lines(relay: &mut Relay, piece: &Piece) -> String {
        match relay.take(piece) {
            Took::Text(text) => text,
            Took::Nothing => String::new(),
            Took::Gap => "GAP".to_owned(),
        }
    }

    #[test]
    fn pieces_are_passed_on_and_the_rest_at_the_end() {
        let mut relay = Relay::default();
        assert_eq!(tool_lines(&mut relay, &piece(1, 0, "Hel")), "Hel");
        assert_eq!(tool_lines(&mut relay, &piece(1, 3, "lo")), "lo");
        assert_eq!(relay.rest("Hello there"), Some(" there".to_owned()));
        assert_eq!(relay.rest("Hello there"), None);
    }

    #[test]
    fn a_gap_is_filled_from_the_block_without_saying_anything_twice() {
        let mut relay = Relay::default();
        assert_eq!(tool_lines(&mut relay, &piece(1, 0, "ab")), "ab");
        assert_eq!(tool_lines(&mut relay, &piece(1, 4, "ef")), "GAP");
        assert_eq!(tool_lines(&mut relay, &piece(1, 0, "abcdef")), "cdef");
        assert_eq!(tool_lines(&mut relay, &piece(1, 4, "ef")), "");
        assert_eq!(tool_lines(&mut relay, &piece(1, 6, "g")), "g");
    }

    #[test]
    fn a_call_made_again_says_only_what_is_new() {
        let mut relay = Relay::default();
        assert_eq!(tool_lines(&mut relay, &piece(1, 0, "The answer")), "The answer");
        assert_eq!(tool_lines(&mut relay, &piece(1, 0, "The ")), "");
        assert_eq!(tool_lines(&mut relay, &piece(1, 4, "other")), "\n\nThe other");
    }

    #[test]
    fn words_before_a_tool_and_after_it_are_two_paragraphs() {
        let mut relay = Relay::default();
        assert_eq!(tool_lines(&mut relay, &piece(1, 0, "I look.")), "I look.");
        assert_eq!(tool_lines(&mut relay, &piece(2, 0, "Found")), "\n\nFound");
        assert_eq!(tool_lines(&mut relay, &piece(2, 5, " it")), " it");
    }

    #[test]
    fn an_answer_that_nobody_streamed_is_said_at_the_end() {
        assert_eq!(Relay::default().rest("Hi"), Some("Hi".to_owned()));
    }
}
