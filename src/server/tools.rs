//! The engine with all tools, for the primary and for hosts.

use std::sync::Arc;

use app::App;
use runtime::{Engine, Limits, Trusted};

use super::{access, doors};

pub(super) fn engine(app: &App, limits: Limits, trusted: Trusted) -> Engine {
    let jobs = runtime::jobs::Jobs::default();
    let own = runtime::tools::Own {
        jobs: jobs.clone(),
        sandbox: app.sandbox.clone(),
        http: app.http.clone(),
        programs: limits.programs,
        trusted,
    };
    let tools = runtime::tools::registry(doors::tools(), own);
    features::trust::tools::install(&tools);
    let tools = tools.within(|can| access::agent().may(can));
    Engine::new(Arc::new(tools), limits, jobs)
}
