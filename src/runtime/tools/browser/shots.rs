//! Screenshots for people: the marked element of an approval request, and the page after each action. The model never
//! sees them, and none are taken while capture is paused.

use std::io;
use std::time::Duration;

use app::Ws;
use browser::BrowserError;
use browser::live_view::Stage;
use features::browsers::model::Picture;
use features::browsers::rules::{self, Taken};
use kernel::{Actor, AgentId, Cause, RunId};
use store::WriteTx;

use super::BrowserAction;
use super::keep::AtSite;

/// The largest screenshot, in bytes.
const MOST: usize = 60 * 1024;
/// Time limit for taking a screenshot.
const WITHIN: Duration = Duration::from_millis(2_500);

/// Agent, run and step of a screenshot.
pub(crate) type Of = (AgentId, RunId, u32);

impl BrowserAction<'_> {
    /// Stores a screenshot of the page as it is now.
    pub(super) async fn keep_picture(&self) {
        let Some(page) = self.browser.open_page(self.tab()) else { return };
        let of = (self.cx.agent, self.cx.run, self.cx.step);
        let ws = &self.cx.ws;
        match taken(&self.stage, page.small_picture(MOST)).await {
            Some(data) => match kept(ws, data, None).await {
                Ok(picture) => note(ws, of, Taken::After(self.name(), picture)).await,
                Err(error) => tracing::warn!(%error, "a picture of a page was not kept"),
            },
            None if self.stage.is_dark() => note(ws, of, Taken::Dark).await,
            None => {}
        }
    }

    /// The name of the element that was acted on.
    fn name(&self) -> String {
        let name = self.name.get().map(String::as_str).unwrap_or_default();
        self.cx.ws.app.redactor.text(name).into_owned()
    }
}

/// Stores a screenshot for an approval request, with the element marked. A failure leaves the request without one.
pub(crate) async fn keep_asked(ws: &Ws, of: Of, call_id: &str, target: &AtSite) {
    let AtSite::Act(act) = target else { return };
    let Some(stage) = ws.app.browsers.stage(ws.browser_of(of.0)) else { return };
    let page = &act.page;
    let drawn = async {
        let spot = match act.number() {
            Some(number) => page.spot(number).await.ok(), // ok: then nothing is marked
            None => None,
        };
        let mark = spot.map(|spot| [spot.left, spot.top, spot.width, spot.height]);
        Ok::<_, BrowserError>(page.small_picture(MOST).await?.map(|data| (data, mark)))
    };
    let Some((data, mark)) = taken(&stage, drawn).await else { return };
    match kept(ws, data, mark).await {
        Ok(picture) => note(ws, of, Taken::Asked(call_id.to_owned(), picture)).await,
        Err(error) => tracing::warn!(%error, "a picture of a page was not kept"),
    }
}

/// The screenshot, if it was taken in time and capture was not paused meanwhile.
async fn taken<T>(
    stage: &Stage,
    draw: impl Future<Output = Result<Option<T>, BrowserError>>,
) -> Option<T> {
    let light = stage.light();
    if stage.is_dark() {
        return None;
    }
    match tokio::time::timeout(WITHIN, draw).await {
        Ok(Ok(drawn)) if stage.light() == light => drawn,
        Ok(Err(error)) => {
            tracing::debug!("a page was not drawn: {error}");
            None
        }
        Ok(Ok(_)) | Err(_) => None,
    }
}

async fn kept(ws: &Ws, data: Vec<u8>, mark: Option<[u16; 4]>) -> io::Result<Picture> {
    let ws = ws.clone();
    let put = tokio::task::spawn_blocking(move || ws.blobs.put(&data)).await;
    let id = put.map_err(io::Error::other)??;
    Ok(Picture { id, mark })
}

async fn note(ws: &Ws, (agent, run, step): Of, taken: Taken) {
    let by = (Actor::Agent { agent, run }, Cause::Step(run, step));
    let write = move |tx: &mut WriteTx<'_>| rules::keep_shot(tx, (run, step), taken);
    if let Err(error) = ws.write(&by, write).await {
        tracing::warn!(%error, "a picture of a page was not kept");
    }
}
