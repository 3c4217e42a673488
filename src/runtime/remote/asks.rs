//! Questions of the primary that a host answers. They are a closed list; each noun defines how its question is asked.

use serde::Deserialize;
use serde_json::Value;
use tokio::sync::mpsc;

use app::Ws;
use app::downstream::{Hears, Tell, Told};
use app::upstream::{Answered, Aside, Refusal, Upstream};
use features::agents::there;
use features::jobs::away as programs;

use super::{blocking, files, read};

/// A question of the primary.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Asks {
    /// About the files of an agent.
    Files(there::FileQuestion),
    /// About a job.
    Job(programs::Asks),
}

/// Answers questions on this host.
#[derive(Clone)]
struct Ears {
    ws: Ws,
}

impl Hears for Ears {
    fn hear(&self, what: Value) -> Answered<'static> {
        let ws = self.ws.clone();
        Box::pin(async move {
            match read::<Asks>(what)? {
                Asks::Files(request) => files::answer_request(&ws, request).await,
                Asks::Job(asks) => {
                    let answered = blocking(move || programs::answer(&ws, asks)).await;
                    answered.map_err(|error| Refusal::from(&error))?
                }
            }
        })
    }
}

/// Answers the primary's questions concurrently, until the workspace stops.
pub(crate) fn answer(ws: &Ws) {
    let Some(up) = ws.upstream.clone() else { return };
    let (ears, mut heard) = mpsc::unbounded_channel::<Tell>();
    up.is_heard_by(ears);
    let own = ws.clone();
    ws.spawn("what home asks", async move {
        let halt = own.halt();
        let ears = Ears { ws: own.clone() };
        loop {
            let tell = tokio::select! {
                biased;
                () = halt.cancelled() => return,
                tell = heard.recv() => tell,
            };
            let Some(tell) = tell else { return };
            let (ears, up) = (ears.clone(), up.clone());
            own.spawn("an answer to home", async move { answered(&ears, &*up, tell).await });
        }
    });
}

async fn answered(ears: &dyn Hears, up: &dyn Upstream, tell: Tell) {
    let answer = ears.hear(tell.what).await;
    for part in Told::all(&tell.number, &answer) {
        // ok: if the link is cut, the primary's own timeout applies.
        if up.asks(Aside::Told(part).to_json()).await.is_err() {
            return;
        }
    }
}
