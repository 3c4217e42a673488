//! Runs a stand-in for clients of other languages: `standin telegram --port 0` prints its URL.

use std::io::{self, Write};

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
    let (Some(port), "telegram") = (port, kind) else {
        return Err(io::Error::other("usage: standin telegram [--port <port>]"));
    };
    let server = Telegram::on(port).await?;
    writeln!(io::stdout(), "{}", server.url())?;
    tokio::signal::ctrl_c().await
}
