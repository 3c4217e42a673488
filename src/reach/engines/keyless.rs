//! Services whose makers document use without an account or key. Their limits are low and shared by an address.

use net::client::HttpClient;

use super::{Engine, Fault, Found, Query, remote, tavily};

/// A service that needs no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// <https://docs.parallel.ai/integrations/mcp/search-mcp>
    Parallel,
    /// <https://docs.firecrawl.dev/mcp-server/keyless>
    Firecrawl,
    /// <https://docs.tavily.com/documentation/keyless>
    Tavily,
}

impl Service {
    /// In the order in which they are asked.
    pub const ALL: [Self; 3] = [Self::Parallel, Self::Firecrawl, Self::Tavily];

    /// The maker, who sees the searches.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Parallel => "Parallel",
            Self::Firecrawl => "Firecrawl",
            Self::Tavily => "Tavily",
        }
    }

    #[must_use]
    pub fn address(self) -> &'static str {
        match self {
            Self::Parallel => "https://search.parallel.ai/mcp",
            Self::Firecrawl => "https://mcp.firecrawl.dev/v2/mcp",
            Self::Tavily => "https://api.tavily.com/search",
        }
    }
}

pub(super) async fn search(
    client: &HttpClient,
    engine: &Engine,
    service: Service,
    query: &Query,
) -> Result<Found, Fault> {
    match service {
        Service::Tavily => tavily::search(client, engine, query).await,
        Service::Parallel | Service::Firecrawl => {
            remote::search(client, engine, service, query).await
        }
    }
}
