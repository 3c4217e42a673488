//! `web_fetch`: one page as text, behind the guard.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::kernel::Can;
use crate::net::fetch::{MAX_CHARS, PageRequest};
use crate::net::pages::Pages;
use crate::net::readable::Form;
use crate::tool::{Effect, Group, ReadTool, ToolCx, ToolError, ToolOutput, ToolSpec};

/// Fetches a page.
pub(crate) struct WebFetch {
    /// Makes the requests and keeps the pages for a while.
    pub pages: Pages,
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
            page = self.pages.get(wanted) => page,
            () = cx.cancel.cancelled() => return Err(ToolError::refused("stopped", "stopped")),
        };
        // What the outside does not give is the model's to work around, not a failure of HQ.
        let (page, age) = match fetched {
            Ok(fetched) => (fetched.page, fetched.age),
            Err(error) => return Ok(ToolOutput::error(format!("could not fetch: {error}"))),
        };
        let title = page.readable.title.as_deref().unwrap_or("(no title)");
        let cut = if page.readable.truncated { "\n[cut]" } else { "" };
        // What stands on the page cannot end the part that is marked as its own.
        let words =
            format!("{title}\n\n{}", page.readable.text).replace("</untrusted", "< /untrusted");
        let age = match age.map(|age| age.as_secs() / 60) {
            Some(minutes) => format!(", as it was {minutes} min ago"),
            None => String::new(),
        };
        let text = format!(
            "{} (status {}{age})\n<untrusted source=\"web\">\n{words}{cut}\n</untrusted>",
            page.final_url, page.status
        );
        Ok(if page.status < 400 { ToolOutput::text(text) } else { ToolOutput::error(text) })
    }
}
