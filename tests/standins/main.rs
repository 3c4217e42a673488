//! Runs a stand-in for clients of other languages: `standin telegram --port 0` prints its URL.

use std::io::{self, Write};

use standins::discord::Discord;
use standins::slack::Slack;
use standins::telegram::Telegram;

#[tokio::main]
async fn main() -> io::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let (kind, port) = match args[..] {
        [kind] => (kind, Some(0)),
        [kind, "--port", port] => (kind, port.parse().ok()),
        _ => ("", None),
    };
    match (kind, port) {
        ("telegram", Some(port)) => serve(Telegram::on(port).await?, Telegram::url).await,
        ("discord", Some(port)) => serve(Discord::on(port).await?, Discord::url).await,
        ("slack", Some(port)) => serve(Slack::on(port).await?, Slack::url).await,
        _ => Err(io::Error::other("usage: standin <telegram|discord|slack> [--port <port>]")),
    }
}

/// Prints the address and keeps the server until the program is interrupted.
async fn serve<S>(server: S, url: fn(&S) -> &str) -> io::Result<()> {
    writeln!(io::stdout(), "{}", url(&server))?;
    tokio::signal::ctrl_c().await
}
