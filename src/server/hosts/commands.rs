//! What a host has written, and what its engine asks: carried out by the engine of home, each run's in order. The answer
//! leaves when the mirror is on its way with all that was written before it, so that the host reads what it has written.

use app::upstream::{Missing, Refusal, Wanted};
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use kernel::{RunId, TypedId as _};
use link::frame::{Answer, Command, Frame, Outcome};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;

use super::files::piece as piece_of;
use super::keys::renewed;
use super::serve::{End, Host};

/// So many are carried out at once.
const AT_ONCE: usize = 32;

/// Answers until the link ends.
pub(super) async fn answers(host: &Host, mut asked: mpsc::Receiver<Command>) -> End {
    let mut going = FuturesUnordered::new();
    loop {
        tokio::select! {
            Some(answer) = going.next() => {
                if let Err(error) = host.sender.send(Frame::Answer(answer)).await {
                    return error.into();
                }
            }
            command = asked.recv(), if going.len() < AT_ONCE => match command {
                Some(command) => going.push(carried_out(host, command)),
                None => return End::Over,
            },
        }
    }
}

async fn carried_out(host: &Host, command: Command) -> Answer {
    let Command { run, number, mut body, .. } = command;
    let about = (run != nobody()).then_some(run);
    let said: [u8; 32] = Sha256::digest(body.to_string()).into();
    let what = body["what"].take();
    let done = if let Some(wanted) = Wanted::of(&what) {
        renewed(host, wanted).await
    } else if let Some(missing) = Missing::of(&what) {
        piece_of(host, missing).await
    } else if let Some(desk) = host.ws.app.hosts.desk() {
        desk.hear(host.ws.clone(), host.id, about, said, what).await
    } else {
        Err(Refusal::new("stopping", "the workspace is being started again"))
    };
    let seq = host.line.looked(host.ws.store.head().seq).await;
    let answer = match done {
        Ok(answer) => json!({ "seq": seq, "answer": answer }),
        Err(refusal) => json!({ "seq": seq, "refusal": refusal }),
    };
    Answer { run, number, result: Outcome::Done(answer) }
}

/// What stands in place of a run where something is about none.
fn nobody() -> RunId {
    RunId::from_bytes([0; 16])
}

/// What a model says there as it says it.
pub(super) fn piece(body: Value) -> Option<app::live::Piece> {
    serde_json::from_value(body).ok() // ok: what cannot be read is not shown
}
