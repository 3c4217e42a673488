//! `hq search`: everything that has some words.

use clap::Args;
use serde_json::Value;

use super::Common;
use super::agents::{items, word};
use super::commands::{or_none, print};
use super::door::{Ask, Door};
use super::operate::Place;
use super::reach::CommandError;
use super::show::{query, quoted, table};

/// Flags of `hq search`.
#[derive(Args)]
pub struct Search {
    /// The words; "two words" in quotation marks match as a phrase
    #[arg(required = true)]
    words: Vec<String>,
    /// Only these kinds, separated by commas: task, comment, deliverable, file, agent, person, message, stream,
    /// label, routine, series
    #[arg(long = "type", value_name = "KINDS")]
    kinds: Option<String>,
    /// Only tasks or deliverables with this status, such as todo
    #[arg(long)]
    status: Option<String>,
    /// Maximum number of results, up to 100
    #[arg(long, default_value_t = 25)]
    limit: u32,
    /// Continue after the previous results
    #[arg(long, value_name = "CURSOR")]
    after: Option<String>,
    #[command(flatten)]
    place: Place,
}

/// Finds what has some words.
pub async fn run(common: &Common, door: &Door, flags: Search) -> Result<u8, CommandError> {
    let (words, limit) = (flags.words.join(" "), flags.limit.to_string());
    let params = query(&[
        ("q", Some(words.as_str())),
        ("type", flags.kinds.as_deref()),
        ("status", flags.status.as_deref()),
        ("limit", Some(limit.as_str())),
        ("cursor", flags.after.as_deref()),
    ]);
    let ask = Ask::get(format!("/api/v1/search{params}"));
    let found = door.call(ask.within(flags.place.workspace.as_ref())).await?;
    let rows: Vec<Vec<String>> = items(&found).iter().map(row).collect();
    let mut lines = Vec::new();
    for (line, hit) in table(&rows).into_iter().zip(items(&found)) {
        lines.push(line);
        let around = text_of(word(hit, "snippet"));
        lines.extend((!around.is_empty()).then(|| format!("    {around}")));
    }
    let mut lines = or_none(lines, "No results.");
    if found["guessed"] == true {
        lines.push("No exact matches. These are similar.".to_owned());
    }
    if found["complete"] == false {
        lines.push("The index is being built: results may be missing.".to_owned());
    }
    lines.extend(found["next"].as_str().map(|next| format!("More: --after {next}")));
    print(common, &found, &lines)
}

/// Kind, title and what it is.
fn row(hit: &Value) -> Vec<String> {
    let mut last = quoted(word(hit, "title"));
    let about = word(hit, "about");
    if !about.is_empty() {
        last = format!("{last} · {about}");
    }
    if hit["archived"] == true {
        last.push_str(" · archived");
    }
    vec![word(hit, "type").to_owned(), last]
}

/// The words of a snippet, which is escaped HTML with `<mark>`.
fn text_of(snippet: &str) -> String {
    let signs = [
        ("<mark>", ""),
        ("</mark>", ""),
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&#34;", "\""),
        ("&#39;", "'"),
        ("&#x27;", "'"),
        ("\n", " "),
        // Last: what was escaped twice was written so.
        ("&#38;", "&"),
        ("&amp;", "&"),
    ];
    signs.iter().fold(snippet.to_owned(), |text, (sign, for_people)| text.replace(sign, for_people))
}

#[cfg(test)]
mod tests {
    use super::text_of;

    #[test]
    fn a_snippet_is_read_as_text() {
        let snippet = "<mark>Blue</mark> &amp; &lt;b&gt;green&lt;/b&gt; &amp;lt;";
        assert_eq!(text_of(snippet), "Blue & <b>green</b> &lt;");
    }
}
