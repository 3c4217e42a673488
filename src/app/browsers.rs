//! Where the browser of an agent lies and what it is started with.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use browser::fleet::Key;
use browser::launch::Browser;
use browser::setup::{ServeWay, Setup};
use futures_util::future::BoxFuture;
use kernel::{AgentId, TypedId as _};

use super::{App, Ws};

/// Opens a way out for the browser of an agent, and answers its port and who serves it.
pub type OpenWay =
    Arc<dyn Fn(App, Ws, AgentId) -> BoxFuture<'static, io::Result<(u16, ServeWay)>> + Send + Sync>;

impl Ws {
    /// The folder of an agent's browser: its profile with its sign-ins, its downloads. It lies outside of the agent's
    /// own folder, so that no program of the agent reads cookies.
    #[must_use]
    pub fn browser_folder(&self, slug: &str) -> PathBuf {
        self.browsers_folder().join(slug)
    }

    /// Where the folders of all browsers lie.
    #[must_use]
    pub fn browsers_folder(&self) -> PathBuf {
        self.folder.join("browsers")
    }

    /// What an agent's browser is started with, without a way out.
    #[must_use]
    pub fn browser_setup(&self, slug: &str) -> Setup {
        let mut setup = Setup::new(self.app.sandbox.clone(), self.browser_folder(slug));
        setup.program.clone_from(&self.app.config.chromium);
        setup.concealed = vec![self.app.config.data.clone()];
        setup
    }

    /// By what the browser of an agent is found among all.
    #[must_use]
    pub fn browser_of(&self, agent: AgentId) -> Key {
        (self.id.uuid(), agent.uuid())
    }

    /// The browser of an agent with its way out. It starts at its first use.
    ///
    /// # Errors
    /// When no way out can be opened.
    pub async fn browser(&self, agent: AgentId, slug: &str) -> io::Result<Browser> {
        let key = self.browser_of(agent);
        if let Some(browser) =
            self.app.browsers.get(key).filter(|one| one.setup().way_out.is_some())
        {
            return Ok(browser);
        }
        let (port, serve) = (self.app.open_way)(self.app.clone(), self.clone(), agent).await?;
        let setup =
            || Setup { way_out: Some(port), serve_way: Some(serve), ..self.browser_setup(slug) };
        Ok(self.app.browsers.of(key, setup))
    }
}
