//! Runs a stand-in for clients of other languages: `standin discord --port 0` prints its URL.

use std::io::{self, Write};

use standins::discord::Discord;
use standins::slack::Slack;

#[tokio::main]
async fn main() -> io::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let port = args.get(2).and_then(|port| port.parse().ok()).unwrap_or(0);
    let mut out = io::stdout();
    match args.first().map(String::as_str) {
        Some("discord") => {
            let server = Discord::on(port).await?;
            writeln!(out, "{}", server.url())?;
            tokio::signal::ctrl_c().await
        }
        Some("slack") => {
            let server = Slack::on(port).await?;
            writeln!(out, "{}", server.url())?;
            tokio::signal::ctrl_c().await
        }
        _ => Err(io::Error::other("usage: standin <discord|slack> [--port <port>]")),
    }
}
