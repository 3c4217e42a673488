//! A mail server that records mails. Clients may die within a mail, which then does not count, or before they get the
//! acknowledgement.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

use super::desk::PATIENCE;

/// An accepted letter.
#[derive(Clone)]
pub struct Letter {
    /// Unique name: its subject row, the recipient and the attempt.
    pub id: String,
    pub to: String,
}

impl Letter {
    /// Whether it is about this notification row.
    pub fn is_of(&self, row: &str) -> bool {
        self.id.split('.').next() == Some(row)
    }

    fn read(text: &str) -> Self {
        let head = text.replace("\r\n ", " ");
        let line = |name: &str| {
            let mut lines = head.lines().take_while(|line| !line.is_empty());
            let own = |line: &&str| line.to_lowercase().starts_with(name);
            let line = lines.find(own).unwrap_or_else(|| panic!("no {name} in {head}"));
            line[name.len()..].trim().to_owned()
        };
        let id = line("message-id:");
        let id = id.trim_start_matches('<').split('@').next().unwrap_or_default().to_owned();
        Self { id, to: line("to:") }
    }
}

/// The mail server.
pub struct Post {
    pub port: u16,
    letters: Arc<Mutex<Vec<Letter>>>,
}

impl Post {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let letters = Arc::new(Mutex::new(Vec::new()));
        let taken = Arc::clone(&letters);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let taken = Arc::clone(&taken);
                tokio::spawn(async move {
                    // A client that disconnects during the transfer has delivered nothing.
                    drop(serve(stream, &taken).await);
                });
            }
        });
        Self { port, letters }
    }

    /// All letters in order of arrival.
    pub fn letters(&self) -> Vec<Letter> {
        self.letters.lock().expect("nobody fails here").clone()
    }

    /// Waits for a letter about this row.
    pub async fn wait_for(&self, row: &str) {
        let comes = async {
            let mut tick = tokio::time::interval(Duration::from_millis(20));
            while !self.letters().iter().any(|letter| letter.is_of(row)) {
                tick.tick().await;
            }
        };
        tokio::time::timeout(PATIENCE, comes).await.expect("a letter that nothing disturbs comes");
    }
}

async fn serve(stream: TcpStream, taken: &Mutex<Vec<Letter>>) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    stream.write_all(b"220 stand-in\r\n").await?;
    loop {
        let line = line(&mut stream).await?;
        let word = line.split([' ', ':', '\r']).next().unwrap_or_default().to_ascii_uppercase();
        let says: &[u8] = match word.as_str() {
            "EHLO" => b"250-stand-in\r\n250-8BITMIME\r\n250 SMTPUTF8\r\n",
            "DATA" => {
                stream.write_all(b"354 go\r\n").await?;
                let mut text = String::new();
                while !text.ends_with("\r\n.\r\n") {
                    text.push_str(&self::line(&mut stream).await?);
                }
                taken.lock().expect("nobody fails here").push(Letter::read(&text));
                b"250 taken\r\n"
            }
            "QUIT" => return stream.write_all(b"221 bye\r\n").await,
            _ => b"250 ok\r\n",
        };
        stream.write_all(says).await?;
    }
}

/// The next line; an error at the end.
async fn line(stream: &mut BufReader<TcpStream>) -> std::io::Result<String> {
    let mut line = String::new();
    match stream.read_line(&mut line).await? {
        0 => Err(std::io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(line),
    }
}
