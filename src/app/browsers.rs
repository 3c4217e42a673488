//! Folder and launch settings of an agent's browser.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use browser::fleet::Key;
use browser::launch::Browser;
use browser::setup::{ServeWay, Setup};
use futures_util::future::BoxFuture;
use kernel::{AgentId, TypedId as _};

use super::{App, Ws};

/// Opens network egress for an agent's browser. Returns its port and the server.
pub type OpenWay =
    Arc<dyn Fn(App, Ws, AgentId) -> BoxFuture<'static, io::Result<(u16, ServeWay)>> + Send + Sync>;

impl Ws {
    /// Browser folder of an agent: profile with sign-ins, and downloads. It is outside the agent's own folder, so
    /// that the agent's programs cannot read cookies.
    #[must_use]
    pub fn browser_folder(&self, slug: &str) -> PathBuf {
        self.browsers_folder().join(slug)
    }

    /// Parent folder of all browser folders.
    #[must_use]
    pub fn browsers_folder(&self) -> PathBuf {
        self.folder.join("browsers")
    }

    /// Launch settings of an agent's browser, without network egress.
    #[must_use]
    pub fn browser_setup(&self, slug: &str) -> Setup {
        let mut setup = Setup::new(self.app.sandbox.clone(), self.browser_folder(slug));
        setup.program.clone_from(&self.app.config.chromium);
        setup.concealed = vec![self.app.config.data.clone()];
        setup
    }

    /// Key of an agent's browser in the fleet.
    #[must_use]
    pub fn browser_of(&self, agent: AgentId) -> Key {
        (self.id.uuid(), agent.uuid())
    }

    /// The browser of an agent, with network egress. Chromium starts at its first use.
    ///
    /// # Errors
    /// When no egress can be opened.
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
