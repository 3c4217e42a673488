//! Executes a host's writes and its engine's requests with the engine of the primary, in order for each run. The
//! response is sent after all mirror changes up to the write, so that the host reads its own writes.

use app::downstream::Told;
use app::upstream::{Aside, LATE, Refusal};
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use kernel::{RunId, TypedId as _};
use link::LinkError;
use link::frame::{Answer, Command, Control, Frame, Outcome};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;

use super::files::piece as piece_of;
use super::keys::renewed;
use super::serve::{End, Host};

/// Maximum number of concurrent commands.
const AT_ONCE: usize = 32;

/// Responds to commands until the link ends.
pub(super) async fn answers(host: &Host, mut commands: mpsc::Receiver<Command>) -> End {
    let mut going = FuturesUnordered::new();
    loop {
        tokio::select! {
            Some(answer) = going.next() => {
                if let Err(error) = host.sender.send(Frame::Answer(answer)).await {
                    return error.into();
                }
            }
            command = commands.recv(), if going.len() < AT_ONCE => match command {
                Some(command) => going.push(carried_out(host, command)),
                None => return End::Over,
            },
        }
    }
}

async fn carried_out(host: &Host, command: Command) -> Answer {
    let Command { run, number, mut body, .. } = command;
    let about = (run != nobody()).then_some(run);
    // A write from an outage has the same digest as its first attempt. It must be executed before the mirror
    // continues.
    let late = body.as_object_mut().and_then(|body| body.remove(LATE)).is_some();
    let digest: [u8; 32] = Sha256::digest(body.to_string()).into();
    let what = body["what"].take();
    let aside = Aside::of(&what);
    // The same holds for responses to the primary's requests.
    let waits = !late && !matches!(aside, Some(Aside::Told(_)));
    let done = match aside {
        Some(Aside::Told(reply)) => {
            host.line.deliver(reply);
            Ok(Value::Null)
        }
        Some(Aside::Access(wanted)) => renewed(host, wanted).await,
        Some(Aside::File(missing)) => piece_of(host, missing).await,
        Some(Aside::Piece(_)) | None => match host.ws.app.hosts.desk() {
            Some(desk) => desk.hear(host.ws.clone(), host.id, about, digest, what).await,
            None => Err(Refusal::new("stopping", "the workspace is restarting")),
        },
    };
    let seq = match waits {
        false => 0,
        true => host.line.looked(host.ws.store.head().seq).await,
    };
    let answer = match done {
        Ok(answer) => json!({ "seq": seq, "answer": answer }),
        Err(refusal) => json!({ "seq": seq, "refusal": refusal }),
    };
    Answer { run, number, result: Outcome::Done(answer) }
}

/// Sends the primary's requests to the host, starting after the welcome, until the link ends.
pub(super) async fn questions(host: &Host) -> End {
    host.asks_may_go.notified().await;
    while let Some(tell) = host.line.asks().await {
        let frame = Frame::Control(Control { run: None, body: tell.to_json() });
        match host.sender.send(frame).await {
            Err(LinkError::TooLarge { .. }) => {
                let refusal = Refusal::new("too_long", "this request is too long");
                for answer in Told::all(&tell.number, &Err(refusal)) {
                    host.line.deliver(answer);
                }
            }
            Err(error) => return error.into(),
            Ok(()) => {}
        }
    }
    End::Over
}

/// Placeholder id for messages that belong to no run.
fn nobody() -> RunId {
    RunId::from_bytes([0; 16])
}

/// Decodes live model output.
pub(super) fn piece(body: Value) -> Option<app::live::Piece> {
    serde_json::from_value(body).ok() // ok: unreadable output is not shown
}
