//! Where the browser of an agent lies and what it is started with.

use std::path::PathBuf;

use browser::fleet::Key;
use browser::setup::Setup;
use kernel::{AgentId, TypedId as _};

use super::Ws;

impl Ws {
    /// The folder of an agent's browser: its profile with its sign-ins, its downloads. It lies outside of the agent's
    /// own folder, so that no program of the agent reads cookies.
    #[must_use]
    pub fn browser_folder(&self, slug: &str) -> PathBuf {
        self.folder.join("browsers").join(slug)
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
}
