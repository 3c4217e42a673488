//! `web_fetch`: one page as text, behind the guard.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::kernel::Can;
use crate::net::client::HttpClient;
use crate::net::fetch::{self, MAX_CHARS, PageRequest};
use crate::net::readable::Form;
use crate::tool::{Effect, Group, ReadTool, ToolCx, ToolError, ToolOutput, ToolSpec};

/// Fetches a page.
pub(crate) struct WebFetch {
    /// Makes the request.
    pub http: HttpClient,
}

/// What `web_fetch` takes.
#[derive(Deserialize, JsonSchema)]
pub(crate) struct Args {
    /// An http or https address.
    url: String,
    /// Most characters (12000).
    max_chars: Option<usize>,
}

impl ReadTool for WebFetch {
    type Args = Args;
    const SPEC: ToolSpec = ToolSpec {
        name: "web_fetch",
        group: Group::Web,
        needs: Can::Read,
        effect: Effect::External,
        about: "Fetch a public web page as readable text.",
    };

    async fn read(&self, cx: &ToolCx, args: Args) -> Result<ToolOutput, ToolError> {
        let max_chars = args.max_chars.unwrap_or(12_000).clamp(200, MAX_CHARS);
        let wanted = PageRequest { url: args.url, form: Form::Markdown, max_chars };
        let fetched = tokio::select! {
            page = fetch::page(&self.http, wanted) => page,
            () = cx.cancel.cancelled() => return Err(ToolError::refused("stopped", "stopped")),
        };
        // What the outside does not give is the model's to work around, not a failure of HQ.
        let page = match fetched {
            Ok(page) => page,
            Err(error) => return Ok(ToolOutput::error(format!("could not fetch: {error}"))),
        };
        let title = page.readable.title.as_deref().unwrap_or("(no title)");
        let cut = if page.readable.truncated { "\n[cut]" } else { "" };
        let text = format!(
            "{title}\n{} (status {})\n<untrusted source=\"web\">\n{}{cut}\n</untrusted>",
            page.final_url, page.status, page.readable.text
        );
        Ok(if page.status < 400 { ToolOutput::text(text) } else { ToolOutput::error(text) })
    }
}
